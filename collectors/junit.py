"""Recount JUnit XML of any dialect in one pass over its bytes, in bounded memory.

Rows (``testcase``) are counted and declared totals compared with them by the rules of ``collectors.totals``. What the
dialects differ in, and what is decided here:

- A row has the worst of its outcomes. A test that passed after a failed attempt says so itself (``flakyFailure`` of
  Surefire and nextest) and is flaky, never passed.
- A status that no dialect uses for a pass is an error.
- ctest writes a test that it could not run (missing executable or file, failed fixture) as ``notrun`` with a
  ``skipped`` inside, just as one that skipped itself. Only the reasons that begin with ``SKIP_`` are skips: ctest fails
  for all others, and so does the row: an error. ``disabled`` was left out on purpose: skipped.
- PHPUnit's ``warning`` replaces the outcome of a test: an error, because nothing was shown.
- pytest-rerunfailures writes failed attempts as rows without any outcome. In a suite named ``pytest`` they are known by
  the row after them and by pytest's total together, and the test is flaky; our own runs record attempts (see
  ``pytest_plugin``).
- TestNG writes a failed attempt as a skipped row, which cannot be told from a data set that was skipped. It stays
  skipped; where the very next row of the same name passed, that is a problem: a person has to look.
- A negative time counts as 0 (clocks were set back); one that is no number is a problem.

Refused: DOCTYPE and entities, tags or comments above 8 MiB, elements nested deeper than 500, more than 10 000 different
tag and attribute names. Expat buffers or keeps those, and nothing else that grows with the file.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import IO
from xml.parsers import expat

from collectors.result_files import read_each
from collectors.totals import Status, Suite, Totals, close, short

_CHUNK_BYTES = 1 << 18
_TOKEN_BYTES = 8 << 20
_DEPTH = 500
_NAMES = 10_000
_RETRIED_NAMED = 200
_OTHER_REASON = "skipped, not by itself"

_SUITES = frozenset({"testsuites", "testsuite"})
_ATTEMPTS = frozenset({"flakyFailure", "flakyError", "rerunFailure", "rerunError"})
_OUTCOMES = frozenset({"failure", "error", "skipped", "warning"}) | _ATTEMPTS
_NOT_RUN = frozenset({"notrun", "disabled", "skipped", "skip", "ignored", "suppressed", "pending", "todo", "untested"})
_PASSED = frozenset({"", "run", "completed", "passed", "pass", "ok", "success", "successful", "succeeded"})
_FAILED = frozenset({"fail", "failed", "failure"})
_DECLARED = ("tests", "failures", "errors", "skipped", "skips", "disabled", "ignored", "warnings")

_THOUSANDS = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")

_Attributes = dict[str, str]
_Marks = dict[str, int]
"""The outcomes inside of a row or suite: how often each tag occurs, and how often ``_OTHER_REASON`` does."""


def read_junit(paths: Iterable[Path]) -> Totals:
    """Count the rows of JUnit XML files. Raises InputError for a file that is missing, hostile or not JUnit XML."""
    return read_each(paths, count_junit)


def count_junit(stream: IO[bytes], name: str, totals: Totals) -> None:
    """Add one file, ``name`` in messages, to ``totals``. Raises ValueError, saying what is wrong with the file."""
    names: dict[str, str] = {}
    parser = expat.ParserCreate(intern=names)
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    parser.StartElementHandler, parser.EndElementHandler = _handlers(name, totals)
    fed = 0
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            parser.Parse(chunk, False)
            fed += len(chunk)
            if fed - parser.CurrentByteIndex > _TOKEN_BYTES:  # expat keeps an unfinished tag or comment whole
                raise ValueError(f"refused: a tag or comment is longer than {_TOKEN_BYTES >> 20} MiB")
            if len(names) > _NAMES:
                raise ValueError(f"refused: it has more than {_NAMES} different tag and attribute names")
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise ValueError(f"not readable as JUnit XML: {error}") from error
    except LookupError as error:
        raise ValueError(f"not readable as JUnit XML: {short(str(error))}") from error


def _refuse_doctype(*_: object) -> None:
    raise ValueError("refused: a DOCTYPE or entity has no place in test results")


@dataclass(slots=True)
class _File:
    """What is counted over one file and added to the totals, or told, at the end of a suite or of the file.

    ``before`` is the row before in the same suite, as far as names can tell: class name, name and outcome.
    """

    name: str
    plainly_passed: int = 0
    seconds: float = 0.0
    before: tuple[str | None, str | None, Status] = (None, None, "passed")
    before_retried: bool = False
    bad_times: int = 0
    first_bad_time: str = ""
    skipped_then_passed: int = 0
    first_skipped: str = ""


def _handlers(name: str, totals: Totals) -> tuple[Callable[[str, _Attributes], None], Callable[[str], None]]:
    """The handlers of start and end tags; they keep the open elements and nothing of the finished ones."""
    file = _File(name)
    path: list[str] = []
    suites: list[Suite] = []
    rows: list[_Attributes] = []
    marks: list[_Marks | None] = []  # of the open rows and suites

    def start(tag: str, attributes: _Attributes) -> None:
        if ":" in tag:
            tag = tag.rpartition(":")[2]
        if not 0 < len(path) < _DEPTH:
            _check_depth(len(path), tag)
        if tag == "testcase":
            rows.append(attributes)
            marks.append(None)
        elif tag in _SUITES:
            suites.append(_open_suite(attributes, name, totals))
            marks.append(None)
            totals.suites += tag == "testsuite"
            file.before = (None, None, "passed")
        elif tag in _OUTCOMES and (path[-1] == "testcase" or path[-1] in _SUITES):
            own = marks[-1] = marks[-1] or {}
            own[tag] = own.get(tag, 0) + 1
            if tag == "skipped" and attributes.get("message", "SKIP_")[:5] not in ("", "SKIP_"):
                own[_OTHER_REASON] = 1
        path.append(tag)

    def end(_: str) -> None:
        tag = path.pop()
        if tag == "testcase":
            _count_row(rows.pop(), marks.pop(), suites[-1], file, totals)
        elif tag in _SUITES:
            suite, own = suites.pop(), marks.pop()
            if own:
                _count_suite_itself(suite, own, totals)
            _close(suite, suites[-1] if suites else None, file, totals)

    return start, end


def _check_depth(depth: int, tag: str) -> None:
    if depth:
        raise ValueError(f"refused: elements are nested deeper than {_DEPTH}")
    if tag not in _SUITES:
        raise ValueError(f"the root is <{short(tag)}>, expected <testsuites> or <testsuite>")


def _open_suite(attributes: _Attributes, file_name: str, totals: Totals) -> Suite:
    name = short(attributes.get("name") or file_name)
    declared = {}
    for key in _DECLARED:
        if text := attributes.get(key, "").strip():
            if re.fullmatch(r"[0-9]{1,15}", text):
                declared[key] = int(text)
            else:
                totals.problem(f"{name}: {key}={short(text)!r} is no number of tests")
    return Suite(name, declared)


def _count_row(attributes: _Attributes, marks: _Marks | None, suite: Suite, file: _File, totals: Totals) -> None:
    """One test. Called for each row, and most rows passed: what can wait until the end of the suite does."""
    get = attributes.get
    name, classname = get("name"), get("classname")
    status: Status = "passed"
    if marks is None and "status" not in attributes and "result" not in attributes:
        file.plainly_passed += 1
    else:
        status = _status(attributes, marks or {}, suite, totals)
        totals.count(status, _row_name(classname, name))
        suite.bad += status in ("failed", "error")
    suite.rows += 1
    if name and name == file.before[1] and classname == file.before[0]:
        _count_repetition(_row_name(classname, name), status, suite, file)
    else:
        file.before_retried = False
    file.before = (classname, name, status)
    if time := get("time"):
        try:
            seconds = float(time)
        except ValueError:
            seconds = float(time.replace(",", "")) if _THOUSANDS.fullmatch(time) else inf
        if 0 <= seconds < inf:
            file.seconds += seconds
        elif not -inf < seconds < 0:
            file.bad_times += 1
            file.first_bad_time = file.first_bad_time or f"{_row_name(classname, name)}: time={short(time)!r}"


def _count_repetition(name: str, status: Status, suite: Suite, file: _File) -> None:
    """Note that a row has the names of the one before: only pytest and TestNG let anything follow from it."""
    before, retried = file.before[2], False
    if suite.name == "pytest" and before == "passed":
        suite.repeated += 1
        if file.before_retried:
            suite.retried_passes -= 1
            if suite.retried[-1] == name:
                suite.retried.pop()
        if retried := status == "passed":
            suite.retried_passes += 1
            if len(suite.retried) < _RETRIED_NAMED:
                suite.retried.append(name)
    elif suite.name == "pytest" and before == "failed" and status == "error":
        suite.doubled += 1
    elif before == "skipped" and status == "passed":
        file.skipped_then_passed += 1
        file.first_skipped = file.first_skipped or name
    file.before_retried = retried


def _close(suite: Suite, parent: Suite | None, file: _File, totals: Totals) -> None:
    totals.tests += file.plainly_passed
    totals.passed += file.plainly_passed
    totals.duration_s += file.seconds
    file.plainly_passed, file.seconds = 0, 0.0
    file.before = (None, None, "passed")
    close(suite, parent, totals)
    if parent is not None:
        return
    if not suite.rows:
        totals.problem(f"{file.name}: no test is in it")
    if file.bad_times:
        totals.problem(f"{file.first_bad_time} is no number ({file.bad_times} such times in {file.name})")
    if file.skipped_then_passed:
        totals.problem(
            f"{file.first_skipped}: a skipped row stands before a passed one of the same name, as TestNG writes a"
            f" failed attempt ({file.skipped_then_passed} such rows in {file.name})"
        )


def _status(attributes: _Attributes, marks: _Marks, suite: Suite, totals: Totals) -> Status:
    """The outcome of one row: the worst of several. What explains declared totals is noted in ``suite``."""
    failures = marks.get("failure", 0) + marks.get("error", 0)
    suite.further += max(failures - 1, 0)
    suite.attempts += sum(marks.get(tag, 0) for tag in _ATTEMPTS)
    suite.warned += "warning" in marks
    stated = {attributes.get(key, "").strip().lower() for key in ("status", "result")}
    skipped = "skipped" in marks or bool(stated & _NOT_RUN)
    suite.skipped += skipped
    if failures:
        return "error" if "error" in marks else "failed"
    if stated & _FAILED:
        return "failed"
    if unknown := stated - _PASSED - _NOT_RUN - {"error"}:
        totals.problem(f"{_row_name(attributes.get('classname'), attributes.get('name'))}: status {min(unknown)!r}")
    if unknown or "error" in stated or "warning" in marks:
        return "error"
    if "flakyFailure" in marks or "flakyError" in marks:
        return "flaky"
    if "rerunFailure" in marks or "rerunError" in marks:
        return "failed"
    if "notrun" in stated and _OTHER_REASON in marks:
        return "error"
    return "skipped" if skipped else "passed"


def _count_suite_itself(suite: Suite, marks: _Marks, totals: Totals) -> None:
    """A suite whose own set-up failed, or that was skipped as a whole, counts as one more test without a row."""
    tags = set(marks) - {_OTHER_REASON}
    if tags <= _ATTEMPTS:
        totals.problem(f"{suite.name}: the suite itself holds {min(tags)}")
        return
    status: Status = "skipped" if tags <= {"skipped"} else "failed" if tags <= {"failure", "skipped"} else "error"
    totals.count(status, f"{suite.name}: the suite itself")
    suite.rows += 1
    suite.rowless += 1
    suite.bad += status != "skipped"
    suite.further += max(marks.get("failure", 0) + marks.get("error", 0) - 1, 0)


def _row_name(classname: str | None, name: str | None) -> str:
    return "::".join(part[:500] for part in (classname, name) if part) or "a test without a name"
