"""Run a test suite in a subprocess and record its totals, or ingest results that another system left behind."""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from collectors.junit import JunitTotals, read_junit
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.results import TestSuiteResult
from processes.errors import CollectError, InputError
from processes.supervised import supervised

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")
_ATTACHED_AT_MOST_BYTES = 64_000_000

_NO_TESTS_COLLECTED = 5


def run_test_suite(
    command: str,
    *,
    cwd: Path,
    work_dir: Path,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    junit: str | None = None,
) -> Measurement:
    """Run ``command`` in ``cwd`` and recount its results; returns a TestSuiteResult.

    A ``pytest`` command runs under this interpreter, with JUnit XML and the attempts recorded by a plugin of ours. Any
    other command must leave JUnit XML behind at ``junit``, a glob below ``cwd``; files older than the run do not count.
    Raises CollectError when the command does not end in time or leaves no readable results.
    """
    words = shlex.split(command)
    if not words:
        raise CollectError("the test command is empty")
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ} | dict(env or {})
    facts_file, own_xml = work_dir / "pytest.json", work_dir / "junit.xml"
    for stale in (facts_file, own_xml):
        stale.unlink(missing_ok=True)
    ours = _is_pytest(words)
    if ours:
        words, environment = _under_plugin(words, environment, facts_file, own_xml)
    elif junit is None:
        raise CollectError(f"{command}: say with junit: where this runner writes its JUnit XML")
    started_at = datetime.now(UTC)
    log = work_dir / "tests.log"
    with supervised("the test suite", words, log=log, env=environment, cwd=cwd) as process:
        exit_code = process.wait(timeout_s)
        output = process.last_lines(200)
    files = [own_xml] if ours else _fresh(cwd, junit or "", started_at)
    totals, facts = _totals(files, facts_file if ours else None, output)
    return _measurement(command, totals, facts, exit_code, files, log, started_at)


def _is_pytest(words: Sequence[str]) -> bool:
    return words[0] == "pytest" or list(words[1:3]) == ["-m", "pytest"]


def _under_plugin(
    words: Sequence[str], environment: dict[str, str], facts_file: Path, xml: Path
) -> tuple[list[str], dict[str, str]]:
    own = Path(__file__).resolve().parents[1]
    interpreter = sys.executable if words[0] in ("pytest", "python", "python3") else words[0]
    arguments = words[1:] if words[0] == "pytest" else words[3:]
    python_path = os.pathsep.join(filter(None, (str(own), environment.get("PYTHONPATH"))))
    added = ["-p", "collectors.pytest_plugin", "-p", "no:cacheprovider", f"--junitxml={xml.resolve()}"]
    facts = {
        "PYTHONPATH": python_path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "GONOGO_PYTEST_FACTS": str(facts_file.resolve()),
    }
    return [interpreter, "-m", "pytest", *added, *arguments], environment | facts


def _fresh(cwd: Path, pattern: str, started_at: datetime) -> list[Path]:
    files = [p for p in sorted(cwd.glob(pattern)) if p.stat().st_mtime >= started_at.timestamp() - 1]
    if not files:
        raise CollectError(f"the test command left no file {pattern} in {cwd}")
    return files


def _totals(files: Sequence[Path], facts_file: Path | None, output: str) -> tuple[JunitTotals, dict[str, Any]]:
    try:
        totals = read_junit(files)
    except InputError as error:
        raise CollectError(f"the test suite left no usable results: {error}; its last output:\n{output}") from error
    if facts_file is None:
        return totals, {}
    try:
        facts = json.loads(facts_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CollectError(f"the test suite did not end by itself; its last output:\n{output}") from error
    return _with_attempts(totals, facts), facts


def _with_attempts(totals: JunitTotals, facts: Mapping[str, Any]) -> JunitTotals:
    """Count a test that was run again once: pytest writes a row for each attempt, and failed ones are empty rows."""
    retried: dict[str, list[str]] = facts["retried"]
    extra = sum(len(outcomes) - 1 for outcomes in retried.values())
    flaky = [test for test, outcomes in retried.items() if outcomes[-1] == "passed"]
    corrected = replace(
        totals,
        tests=totals.tests - extra,
        passed=totals.passed - extra - len(flaky),
        flaky=totals.flaky + len(flaky),
        not_passed=[*totals.not_passed, *flaky],
        problems=list(totals.problems),
    )
    if facts["collected"] != facts["ran"]:
        corrected.problems.append(f"{facts['collected']} tests were collected, {facts['ran']} ran")
    return corrected


def _measurement(
    command: str,
    totals: JunitTotals,
    facts: Mapping[str, Any],
    exit_code: int | None,
    files: Sequence[Path],
    log: Path | None,
    started_at: datetime,
) -> Measurement:
    problems = list(totals.problems)
    if facts.get("collected", 0) > 0 and exit_code == 0 and (totals.failed or totals.errors):
        problems.append("the runner exits 0 although tests failed")
    if exit_code not in (0, 1, None, _NO_TESTS_COLLECTED):
        problems.append(f"the runner ended with exit code {exit_code}")
    result = TestSuiteResult(
        tests=totals.tests,
        passed=totals.passed,
        failed=totals.failed,
        errors=totals.errors,
        skipped=totals.skipped,
        flaky=totals.flaky,
        deselected=facts.get("deselected"),
        pass_rate=totals.passed / totals.tests if totals.tests else None,
        duration_s=round(totals.duration_s, 3),
        suites=totals.suites,
        not_passed=totals.not_passed,
        problems=problems,
        exit_code=exit_code,
    )
    left_out = [LeftOut("tests skipped", totals.skipped, "by their own marks")] if totals.skipped else []
    if deselected := facts.get("deselected"):
        left_out.append(LeftOut("tests deselected", deselected, f"by the selection of: {command}"))
    return Measurement(
        result=result,
        outcome=_outcome(result),
        summary=_summary(result),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"command": command},
        tools={"pytest": version("pytest")} if facts else {},
        left_out=left_out,
        attachments=_attachments(files, log),
    )


def _outcome(result: TestSuiteResult) -> Outcome:
    """Zero tests, or none but skipped ones, show nothing; a runner that breaks off is an error, not a failure."""
    if result.failed or result.errors or result.flaky:
        return "failed"
    if result.exit_code not in (0, None, _NO_TESTS_COLLECTED):
        return "errored"
    if result.passed == 0:
        return "inconclusive"
    return "failed" if result.problems else "passed"


def _summary(result: TestSuiteResult) -> str:
    others = ("failed", "errors", "skipped", "flaky")
    parts = [f"{getattr(result, name)} {name}" for name in others if getattr(result, name)]
    return ", ".join([f"{result.passed} of {result.tests} tests passed", *parts])


def _attachments(files: Sequence[Path], log: Path | None) -> list[AttachmentContent]:
    attachments = [
        AttachmentContent(file.name, "application/xml", file.read_bytes())
        for file in files
        if file.stat().st_size <= _ATTACHED_AT_MOST_BYTES
    ]
    if log is not None and log.exists():
        attachments.append(AttachmentContent(log.name, "text/plain", log.read_bytes()[-1_000_000:]))
    return attachments


def ingest_junit(files: Sequence[Path]) -> Measurement:
    """Record the results of another system from its JUnit XML; its window is that of the files. Raises InputError."""
    totals = read_junit(files)
    times = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files]
    measured = _measurement("ingested", totals, {}, None, files, None, min(times))
    return replace(measured, finished_at=max(times))
