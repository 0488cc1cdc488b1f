"""Runs the benchmark; see the package for what it claims."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.parsers import expat

from collectors.junit import read_junit

ROWS = 1_000_000
ROWS_PER_SUITE = 1000
REPETITIONS = 3
LEAST_RATIO = 0.5
MOST_MB = 200
CLAIM_DOES_NOT_HOLD = 3


def main(arguments: list[str]) -> int:
    """Measure both readers in processes of their own, or, named with a file, be one of them."""
    if arguments[:1] in (["expat"], ["gonogo"]):
        return measure(arguments[0], Path(arguments[1]))
    rows = int(arguments[0]) if arguments else ROWS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.xml"
        write_results(path, rows)
        size_mb = path.stat().st_size / 1e6
        measured = [(run("expat", path), run("gonogo", path)) for _ in range(REPETITIONS)]
    expat_s, ours_s = (min(pair[i]["seconds"] for pair in measured) for i in (0, 1))
    expat_mb, ours_mb = (max(pair[i]["peak_mb"] for pair in measured) for i in (0, 1))
    ratio = expat_s / ours_s
    holds = ratio >= LEAST_RATIO and ours_mb < MOST_MB
    print(f"{rows} test cases, {size_mb:.0f} MB, best of {REPETITIONS}")
    print(f"bare expat pass  {expat_s:6.2f} s  {expat_mb:5.0f} MB peak")
    print(f"gonogo           {ours_s:6.2f} s  {ours_mb:5.0f} MB peak")
    print(f"speed            {ratio:6.2f} of the bare pass (claimed: at least {LEAST_RATIO}, less than {MOST_MB} MB)")
    print("the claim holds" if holds else "the claim does not hold")
    return 0 if holds else CLAIM_DOES_NOT_HOLD


def run(reader: str, path: Path) -> dict[str, float]:
    """One measurement in a new process."""
    command = [sys.executable, "-m", "benchmarks.junit", reader, str(path)]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def measure(reader: str, path: Path) -> int:
    """Read the file in this process and print seconds and peak memory as JSON."""
    started = time.perf_counter()
    if reader == "gonogo":
        read_junit([path])
    else:
        bare_pass(path)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}))
    return 0


def bare_pass(path: Path) -> None:
    """Expat with handlers that do nothing."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda _tag, _attributes: None
    parser.EndElementHandler = lambda _tag: None
    parser.CharacterDataHandler = lambda _text: None
    with path.open("rb") as stream:
        parser.ParseFile(stream)


def peak_mb() -> float:
    """The largest resident set of this process so far (Linux counts KiB, macOS bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def write_results(path: Path, rows: int) -> None:
    """A file of ``rows`` test cases, rounded up to whole suites."""
    suite = "".join(row(number) for number in range(ROWS_PER_SUITE))
    attributes = f'tests="{ROWS_PER_SUITE}" failures="{ROWS_PER_SUITE // 100}" errors="0"'
    with path.open("w", encoding="utf-8") as stream:
        stream.write('<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n')
        for number in range(-(-rows // ROWS_PER_SUITE)):
            stream.write(f'<testsuite name="suite {number}" {attributes} skipped="{ROWS_PER_SUITE // 100}">\n')
            stream.write(suite)
            stream.write("</testsuite>\n")
        stream.write("</testsuites>\n")


def row(number: int) -> str:
    """One test case."""
    start = f'<testcase classname="shop.orders.test_checkout" name="test_total_{number}" time="0.{number:03d}"'
    match number % 100:
        case 0:
            body = '<failure message="assert 1 == 2" type="AssertionError">Traceback:\n  line 1\n  line 2\n</failure>'
        case 1:
            body = '<skipped message="not on this system"/>'
        case last if last % 10 == 2:
            body = "<system-out>one line\nanother line\n</system-out>"
        case _:
            return f"{start}/>\n"
    return f"{start}>\n{body}\n</testcase>\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
