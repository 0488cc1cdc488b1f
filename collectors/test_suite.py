"""Run a test suite in a subprocess and record its totals, or ingest results that another system left behind."""

import io
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from collectors.ctrf import count_ctrf
from collectors.junit import count_junit
from collectors.pytest_facts import FACTS_NAME, PytestFacts, count_facts, parse_facts
from collectors.result_files import begins_as_json, read_each, read_named, unique_names
from collectors.totals import Totals, finished
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed
from evidence.results import TestSuiteResult
from processes.errors import CollectError, InputError, UnrecordedError
from processes.supervised import supervised

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")
_ATTACHED_AT_MOST_BYTES = 64_000_000
_LOG_NAME = "tests.log"
_LOG_BYTES = 1_000_000
_UNATTACHED = "result files not attached"

_NO_TESTS_COLLECTED = 5

_Stamp = tuple[int, int, int]


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
    other command must leave JUnit XML or CTRF behind at ``junit``, a glob below ``cwd``; files that the run did not
    write do not count. Raises CollectError when the command does not end in time or leaves no readable results.
    """
    words = shlex.split(command)
    if not words:
        raise CollectError("the test command is empty")
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ} | dict(env or {})
    facts_file, own_xml = work_dir / FACTS_NAME, work_dir / "junit.xml"
    for stale in (facts_file, own_xml):
        stale.unlink(missing_ok=True)
    ours = _is_pytest(words)
    if ours:
        words, environment = _under_plugin(words, environment, facts_file, own_xml)
    elif junit is None:
        raise CollectError(f"{command}: say with junit: where this runner writes its JUnit XML or CTRF")
    before = {} if ours else _stamps(cwd, junit or "")
    started_at = datetime.now(UTC)
    log = work_dir / _LOG_NAME
    with supervised("the test suite", words, log=log, env=environment, cwd=cwd) as process:
        exit_code = process.wait(timeout_s)
        output = process.last_lines(200)
    after = {} if ours else _stamps(cwd, junit or "")
    files = [own_xml] if ours else [path for path, stamp in after.items() if before.get(path) != stamp]
    if not files:
        raise CollectError(f"the test command left no file {junit} in {cwd}")
    named = unique_names(files, (FACTS_NAME, _LOG_NAME))
    totals, facts = _totals(named, facts_file if ours else None, output)
    attachments = _attachments(named)
    if facts:
        attachments.append(AttachmentContent(FACTS_NAME, "application/json", facts_file.read_bytes()))
    left_out = [LeftOut("result files", 0 if ours else len(after) - len(files), f"not written by this run: {junit}")]
    return replace(
        _measurement(command, totals, facts, exit_code, started_at, [*left_out, _unattached(named)]),
        attachments=[*attachments, *_log(log)],
    )


def _is_pytest(words: Sequence[str]) -> bool:
    return words[0] == "pytest" or list(words[1:3]) == ["-m", "pytest"]


def _under_plugin(
    words: Sequence[str], environment: dict[str, str], facts_file: Path, xml: Path
) -> tuple[list[str], dict[str, str]]:
    """The plugin is copied into a folder of its own, so that the tests can import nothing else of ours by it."""
    folder = xml.resolve().with_name("pytest-plugin")
    folder.mkdir(exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("pytest_plugin.py"), folder / "gonogo_pytest_plugin.py")
    interpreter = sys.executable if words[0] in ("pytest", "python", "python3") else words[0]
    arguments = words[1:] if words[0] == "pytest" else words[3:]
    python_path = os.pathsep.join(filter(None, (str(folder), environment.get("PYTHONPATH"))))
    added = ["-p", "gonogo_pytest_plugin", "-p", "no:cacheprovider", f"--junitxml={xml.resolve()}"]
    facts = {
        "PYTHONPATH": python_path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "GONOGO_PYTEST_FACTS": str(facts_file.resolve()),
    }
    return [interpreter, "-m", "pytest", *added, *arguments], environment | facts


def _stamps(cwd: Path, pattern: str) -> dict[Path, _Stamp]:
    """The files of a glob, each with what changes when it is written."""
    try:
        return {p: (s.st_mtime_ns, s.st_size, s.st_ino) for p in sorted(cwd.glob(pattern)) for s in (p.stat(),)}
    except (NotImplementedError, ValueError) as error:
        raise CollectError(f"junit: {pattern!r} is no pattern below {cwd}: {error}") from error


def _totals(
    named: Sequence[tuple[str, Path]], facts_file: Path | None, output: str
) -> tuple[Totals, PytestFacts | None]:
    try:
        totals = read_named(named, _count)
    except InputError as error:
        raise CollectError(f"the test suite left no usable results: {error}; its last output:\n{output}") from error
    if facts_file is None:
        return totals, None
    try:
        return totals, parse_facts(facts_file.read_bytes())
    except (OSError, ValueError) as error:
        raise CollectError(f"the test suite did not end by itself; its last output:\n{output}") from error


def _count(stream: IO[bytes], name: str, totals: Totals) -> None:
    (count_ctrf if begins_as_json(stream) else count_junit)(stream, name, totals)


def read_results(paths: Iterable[Path]) -> Totals:
    """Count files of test results, JUnit XML and CTRF mixed as they come. Raises InputError for an unusable file."""
    return read_each(paths, _count)


def ingest_results(files: Sequence[Path]) -> Measurement:
    """Record the results of another system, JUnit XML or CTRF; its window is that of the files. Raises InputError."""
    named = unique_names(files, (FACTS_NAME, _LOG_NAME))
    totals = read_named(named, _count)
    times = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files]
    measured = _measurement("ingested", totals, None, None, min(times), [_unattached(named)])
    return replace(measured, finished_at=max(times), attachments=_attachments(named))


def recount(attachments: Mapping[str, bytes], recorded: TestSuiteResult) -> TestSuiteResult:
    """Compute a result again from the attachments (by name) of its measurement; only the exit code is taken over.

    Equal to ``recorded`` unless a file was too large to be attached. Raises InputError when an attachment cannot be
    used, or when there are no results among them.
    """
    files = {name: content for name, content in attachments.items() if name not in (FACTS_NAME, _LOG_NAME)}
    if not files:
        raise InputError("no test results are attached")
    totals, facts = Totals(), None
    try:
        for name, content in files.items():
            _count(io.BytesIO(content), name, totals)
        if FACTS_NAME in attachments:
            facts = parse_facts(attachments[FACTS_NAME])
    except ValueError as error:
        raise InputError(f"the attached test results: {error}") from error
    return _result(finished(totals), facts, recorded.exit_code)


def replay_test_suite(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of a suite again. Raises UnrecordedError when results were too large to be attached."""
    assert isinstance(record.result, TestSuiteResult)
    if any(left.what == _UNATTACHED for left in record.left_out):
        raise UnrecordedError("a file of results was too large to be attached")
    result = recount(attachments, record.result)
    return Recomputed(result, _outcome(result))


def _result(xml: Totals, facts: PytestFacts | None, exit_code: int | None) -> TestSuiteResult:
    totals = count_facts(facts, xml) if facts else xml
    problems = list(totals.problems)
    if exit_code == 0 and (totals.failed or totals.errors):
        problems.append("the runner exits 0 although tests failed")
    elif facts and exit_code == 0 != facts.exit_code:
        problems.append(f"pytest ended with {facts.exit_code}, but its process with 0")
    if exit_code not in (0, 1, None) and (exit_code != _NO_TESTS_COLLECTED or totals.passed):
        problems.append(f"the runner ended with exit code {exit_code}")
    return TestSuiteResult(
        tests=totals.tests,
        passed=totals.passed,
        failed=totals.failed,
        errors=totals.errors,
        skipped=totals.skipped,
        flaky=totals.flaky,
        deselected=facts.left_out if facts else None,
        pass_rate=totals.passed / totals.tests if totals.tests else None,
        duration_s=round(totals.duration_s, 3),
        suites=totals.suites,
        not_passed=totals.not_passed,
        problems=problems,
        exit_code=exit_code,
    )


def _measurement(
    command: str,
    totals: Totals,
    facts: PytestFacts | None,
    exit_code: int | None,
    started_at: datetime,
    left_out: Sequence[LeftOut],
) -> Measurement:
    result = _result(totals, facts, exit_code)
    of_tests = [
        LeftOut("tests skipped", result.skipped, "by their own marks"),
        LeftOut("tests deselected", result.deselected or 0, f"by the selection of: {command}"),
        LeftOut("subtests skipped", facts.subtests_skipped if facts else 0, "inside of tests that ran"),
    ]
    return Measurement(
        result=result,
        outcome=_outcome(result),
        summary=_summary(result),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"command": command},
        tools={"pytest": facts.pytest, "python": facts.python} if facts else {},
        left_out=[left for left in (*of_tests, *left_out) if left.count],
    )


def _outcome(result: TestSuiteResult) -> Outcome:
    """Zero tests, or none but skipped ones, show nothing; a runner that breaks off is an error, not a failure.

    A problem without a failed test (rows that are missing, say) leaves open what happened: it is never a pass, and
    criteria alone cannot make it one.
    """
    if result.failed or result.errors:
        return "failed"
    by_flaky = result.exit_code == 1 and result.flaky
    none_collected = result.exit_code == _NO_TESTS_COLLECTED and not result.passed
    if result.exit_code not in (0, None) and not by_flaky and not none_collected:
        return "errored"
    if result.problems:
        return "inconclusive"
    if result.flaky:
        return "failed"
    return "passed" if result.passed else "inconclusive"


def _summary(result: TestSuiteResult) -> str:
    others = ("failed", "errors", "skipped", "flaky")
    parts = [f"{getattr(result, name)} {name}" for name in others if getattr(result, name)]
    problem = [f"problem: {result.problems[0]}"] if result.problems else []
    return ", ".join([f"{result.passed} of {result.tests} tests passed", *parts, *problem])


def _attachments(named: Sequence[tuple[str, Path]]) -> list[AttachmentContent]:
    attachments = []
    for name, path in named:
        if path.stat().st_size <= _ATTACHED_AT_MOST_BYTES:
            content = path.read_bytes()
            json = begins_as_json(io.BytesIO(content))
            attachments.append(AttachmentContent(name, "application/json" if json else "application/xml", content))
    return attachments


def _unattached(named: Sequence[tuple[str, Path]]) -> LeftOut:
    large = sum(path.stat().st_size > _ATTACHED_AT_MOST_BYTES for _, path in named)
    return LeftOut(_UNATTACHED, large, f"larger than {_ATTACHED_AT_MOST_BYTES // 1_000_000} MB")


def _log(log: Path) -> list[AttachmentContent]:
    with log.open("rb") as stream:
        stream.seek(max(log.stat().st_size - _LOG_BYTES, 0))
        return [AttachmentContent(_LOG_NAME, "text/plain", stream.read())]
