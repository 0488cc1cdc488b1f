"""Recount JUnit XML of any dialect: rows are counted, declared totals are only compared with them.

A row is a ``testcase``. Names are no identity (parametrised tests repeat them), so rows are never merged by name; a
test that passed after a failed attempt says so itself (``flakyFailure``) and is flaky, never silently passed. A failure
that the declared totals or a suite state, but no row shows, counts as an error: a difference never hides one.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from processes.errors import InputError

Status = Literal["passed", "failed", "error", "skipped", "flaky"]

_NOT_RUN = frozenset({"notrun", "disabled", "skipped", "ignored", "suppressed"})
_LISTED = 200


@dataclass
class JunitTotals:
    """Totals over files. ``not_passed`` names at most 200 tests; ``problems`` are differences that need a person."""

    tests: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    flaky: int = 0
    duration_s: float = 0.0
    suites: int = 0
    problems: list[str] = field(default_factory=list)
    not_passed: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The keys that scripts may rely on."""
        names = ("tests", "passed", "failed", "errors", "skipped", "flaky", "duration_s", "suites", "problems")
        return {name: getattr(self, name) for name in names} | {"duration_s": round(self.duration_s, 3)}


@dataclass
class _Suite:
    """What one suite (or the root) declares, and how many failures and errors its rows show."""

    name: str
    declared: dict[str, int]
    failed: int = 0
    errors: int = 0
    own_errors: int = 0


def read_junit(paths: Iterable[Path]) -> JunitTotals:
    """Count the rows of JUnit XML files. Raises InputError for a file that is missing, hostile or not JUnit XML."""
    totals = JunitTotals()
    files = list(paths)
    if not files:
        raise InputError("name at least one JUnit XML file")
    for path in files:
        try:
            with path.open("rb") as stream:
                _count(stream, path.name, totals)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except DefusedXmlException as error:
            raise InputError(f"{path}: refused: a DOCTYPE or entity has no place in test results") from error
        except (ElementTree.ParseError, UnicodeError, ValueError, LookupError) as error:
            raise InputError(f"{path}: not readable as JUnit XML: {error}") from error
    if not totals.tests:
        totals.problems.append("no test was found: nothing was shown")
    return totals


def _count(stream: IO[bytes], name: str, totals: JunitTotals) -> None:
    """Stream one file; finished elements are dropped, so that memory stays bounded by the deepest suite."""
    open_suites: list[_Suite] = []
    parents: list[Any] = []
    for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
        tag = _tag(element)
        if event == "start":
            if not parents and tag not in ("testsuites", "testsuite"):
                raise ValueError(f"the root is <{tag}>, expected <testsuites> or <testsuite>")
            parents.append(element)
            if tag in ("testsuites", "testsuite"):
                open_suites.append(_Suite(element.get("name") or name, _declared(element)))
                totals.suites += tag == "testsuite"
            continue
        parents.pop()
        if tag == "testcase":
            _count_row(element, open_suites, totals)
        elif tag == "error" and parents and _tag(parents[-1]) in ("testsuite", "testsuites"):
            open_suites[-1].own_errors += 1
            _add(totals, "error", f"{open_suites[-1].name}: the suite itself")
            _seen(open_suites, errors=1)
        elif tag in ("testsuites", "testsuite"):
            _close_suite(open_suites, totals)
        else:
            continue
        if parents:
            parents[-1].remove(element)


def _count_row(element: Any, open_suites: Sequence[_Suite], totals: JunitTotals) -> None:
    status = _status(element)
    name = (
        "::".join(part for part in (element.get("classname"), element.get("name")) if part) or "a test without a name"
    )
    _add(totals, status, name)
    _seen(open_suites, failed=status == "failed", errors=status == "error")
    try:
        duration_s = float((element.get("time") or "0").replace(",", ""))
    except ValueError:
        duration_s = 0.0
        totals.problems.append(f"{name}: time={element.get('time')!r} is no number")
    totals.duration_s += duration_s if 0 <= duration_s < float("inf") else 0.0


def _status(element: Any) -> Status:
    """The outcome of one row; the worst of several."""
    tags = {_tag(child) for child in element}
    if "error" in tags:
        return "error"
    if "failure" in tags:
        return "failed"
    if tags & {"flakyFailure", "flakyError"}:
        return "flaky"
    if tags & {"rerunFailure", "rerunError"}:
        return "failed"
    stated = {(element.get(key) or "").lower() for key in ("status", "result")}
    if "skipped" in tags or stated & _NOT_RUN:
        return "skipped"
    if stated & {"fail", "failed", "failure"}:
        return "failed"
    return "error" if "error" in stated else "passed"


def _add(totals: JunitTotals, status: Status, name: str) -> None:
    totals.tests += 1
    match status:
        case "passed":
            totals.passed += 1
        case "failed":
            totals.failed += 1
        case "error":
            totals.errors += 1
        case "skipped":
            totals.skipped += 1
        case "flaky":
            totals.flaky += 1
    if status in ("failed", "error", "flaky") and len(totals.not_passed) < _LISTED:
        totals.not_passed.append(name)


def _seen(open_suites: Sequence[_Suite], *, failed: int = 0, errors: int = 0) -> None:
    for suite in open_suites:
        suite.failed += failed
        suite.errors += errors


def _close_suite(open_suites: list[_Suite], totals: JunitTotals) -> None:
    """Compare what a suite declares with what its rows show; what only the totals know of counts as an error."""
    suite = open_suites.pop()
    declared_bad = suite.declared.get("failures", 0) + suite.declared.get("errors", 0)
    hidden = declared_bad - suite.failed - suite.errors
    if hidden > 0 and not (suite.failed or suite.errors):
        _hide_nothing(suite, hidden, totals, open_suites)
    elif hidden > 0 and (errors := suite.declared.get("errors", 0) - suite.errors) > 0 and not suite.errors:
        _hide_nothing(suite, errors, totals, open_suites)
    elif hidden > 0:
        totals.problems.append(
            f"{suite.name}: declares {declared_bad} failures and errors, {suite.failed + suite.errors} rows show one"
            " (attempts may have been counted)"
        )


def _hide_nothing(suite: _Suite, count: int, totals: JunitTotals, open_suites: Sequence[_Suite]) -> None:
    what = f"{suite.name}: declares {count} failures or errors that no row shows"
    totals.problems.append(what)
    for _ in range(count):
        _add(totals, "error", what)
    _seen(open_suites, errors=count)


def _declared(element: Any) -> dict[str, int]:
    return dict(_integers(element, ("tests", "failures", "errors")))


def _integers(element: Any, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    for name in names:
        text = (element.get(name) or "").strip()
        if text.isdigit():
            yield name, int(text)


def _tag(element: Any) -> str:
    """The tag without its XML namespace."""
    return str(element.tag).rpartition("}")[2]
