"""``gonogo analyze``: the analyses, on files of any origin."""

from pathlib import Path

from cyclopts import App

from cli.options import Json
from cli.output import print_json, print_text
from collectors.test_suite import read_results

app = App(name="analyze", help="Analyse files of any origin.")
# Named, not imported: only who asks for them waits for pandas and SciPy.
app.command("cli.analyze_ab:ab", name="ab", help="Compare two arms of recorded users.")
app.command("cli.analyze_canary:canary", name="canary", help="Judge a recorded canary against its baseline.")
app.command(
    "cli.analyze_soak:soak",
    name="soak",
    help="Judge whether a sampled series grows: stable, leaking or not proven. Exits with 0 whatever the verdict.",
)


@app.command
def junit(*files: Path, json: Json = False) -> int:
    """Recount JUnit XML files of any dialect, and CTRF files; a retried test counts once."""
    totals = read_results(files)
    counts = totals.as_json()
    if json:
        print_json(counts)
        return 0
    for name, value in counts.items():
        if name != "problems":
            print_text(f"{name:<11} {value}")
    for problem in totals.problems:
        print_text(f"problem     {problem}")
    return 0
