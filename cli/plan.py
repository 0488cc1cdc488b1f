"""``gonogo plan``: check a release plan, and show what would run."""

from pathlib import Path

from cyclopts import App

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_json, print_text
from decision.inputs import subject_of
from decision.plan_file import read_plan
from evidence.store import open_store
from flows.authorization import pending

app = App(name="plan", help="Check a release plan, or show what would run.")


@app.command
def check(plan: Path, *, json: Json = False) -> int:
    """Validate a plan; every problem names file, line and key."""
    plan_file = read_plan(plan)
    subject = subject_of(plan_file)
    counts = {"claims": len(plan_file.plan.claims), "collectors": len(plan_file.plan.collect)}
    if json:
        print_json({"release": plan_file.plan.release, "subject": subject.digest, "digest": plan_file.digest, **counts})
    else:
        print_text(
            f"{plan}: a valid plan for {subject.name} {subject.version}: "
            f"{counts['claims']} claims on {counts['collectors']} collectors"
        )
    return 0


@app.command
def show(plan: Path, *, profile: str = "quick", home: Home = DEFAULT_HOME, json: Json = False) -> int:
    """Print what an authorization would measure now, and which evidence is fresh enough to be reused."""
    plan_file = read_plan(plan)
    missing, fresh = pending(plan_file, open_store(home.resolve()), profile=profile)
    if json:
        print_json(
            {
                "would_run": [{"collector": m.collector, "why": m.why} for m in missing],
                "fresh": [{"collector": r.collector, "record_id": r.record_id} for r in fresh],
            }
        )
        return 0
    for item in missing:
        print_text(f"would run  {item.collector:<24} {item.why}")
    for record in fresh:
        print_text(
            f"fresh      {record.collector:<24} {record.outcome}, measured {record.finished_at:%Y-%m-%d %H:%M} UTC"
        )
    return 0
