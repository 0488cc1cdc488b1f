"""The totals of test results, and the rules by which rows and declared totals are compared. Pure: reads no file.

A row is one test as a file shows it. Names are no identity (parametrised tests repeat them), so rows are never merged
by name. What a suite declares is only compared with its rows, never added to them:

- more failures and errors declared than rows show: each is counted as an error, because a difference may hide one;
- further attempts and further failures inside one row (Surefire and nextest count them or not) explain a difference;
- any other difference (tests, skipped, fewer failures than rows show) is a problem that needs a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "error", "skipped", "flaky"]

_LISTED = 200
_NAME_CHARACTERS = 300
_SKIPPED_KEYS = ("skipped", "skips", "disabled", "ignored")


@dataclass
class Totals:
    """Totals over files. ``not_passed`` names at most 200 tests; ``problems`` are differences that need a person.

    ``problems`` holds at most 200 lines, and one more that says how many were left out.
    """

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
    unlisted_problems: int = 0

    def as_json(self) -> dict[str, Any]:
        """The keys that scripts may rely on."""
        names = ("tests", "passed", "failed", "errors", "skipped", "flaky", "duration_s", "suites", "problems")
        return {name: getattr(self, name) for name in names} | {"duration_s": round(self.duration_s, 3)}

    def count(self, status: Status, name: str, times: int = 1) -> None:
        """Add tests of one status."""
        self.tests += times
        match status:
            case "passed":
                self.passed += times
            case "failed":
                self.failed += times
            case "error":
                self.errors += times
            case "skipped":
                self.skipped += times
            case "flaky":
                self.flaky += times
        if status in ("failed", "error", "flaky"):
            self.name_not_passed(name)

    def name_not_passed(self, name: str) -> None:
        """List a test that did not plainly pass."""
        if len(self.not_passed) < _LISTED:
            self.not_passed.append(short(name))

    def problem(self, text: str) -> None:
        """Report a difference; the list stays bounded."""
        if len(self.problems) < _LISTED:
            self.problems.append(short(text))
            return
        self.unlisted_problems += 1
        self.problems[_LISTED:] = [f"{self.unlisted_problems} more problems are not listed"]


@dataclass(slots=True)
class Suite:
    """What one suite (or a whole file) declares, and what the rows inside it show; inner suites add to it at their end.

    ``attempts``: failed attempts that rows mention besides their outcome; ``further``: failures and errors of a row
    beyond its first; ``rowless``: counted tests that have no row of their own (errors of a suite itself, or hidden
    ones); ``doubled``: rows that continue the test of the row before (pytest: a failed call and a failed teardown).
    ``repeated``: plainly passed rows whose test the next row repeats, and ``retried`` the names of those that passed
    in the end (see ``close``).
    """

    name: str
    declared: Mapping[str, int]
    rows: int = 0
    bad: int = 0
    skipped: int = 0
    warned: int = 0
    attempts: int = 0
    further: int = 0
    rowless: int = 0
    doubled: int = 0
    repeated: int = 0
    retried: list[str] = field(default_factory=list)
    retried_passes: int = 0

    def merge(self, inner: "Suite") -> None:
        """Add what a suite inside this one shows."""
        self.rows += inner.rows
        self.bad += inner.bad
        self.skipped += inner.skipped
        self.warned += inner.warned
        self.attempts += inner.attempts
        self.further += inner.further
        self.rowless += inner.rowless
        self.doubled += inner.doubled


def close(suite: Suite, parent: Suite | None, totals: Totals) -> None:
    """Compare what a suite declares with what its rows show, at its end; hidden failures are added to ``totals``."""
    _merge_attempts(suite, totals)
    _compare_failures(suite, totals)
    _compare_tests(suite, totals)
    _compare_skipped(suite, totals)
    if (warnings := suite.declared.get("warnings", 0)) > suite.warned:
        totals.problem(f"{suite.name}: declares {warnings} warnings, rows show {suite.warned}")
    if parent is not None:
        parent.merge(suite)


def _merge_attempts(suite: Suite, totals: Totals) -> None:
    """Take back rows that were attempts: pytest-rerunfailures writes each failed attempt as a row that looks passed.

    Only pytest's own total tells such rows from tests that share a name: it does not count attempts. Where it does
    not confirm them, they stay rows, and ``_compare_tests`` reports the difference.
    """
    if not suite.repeated or suite.declared.get("tests") != suite.rows - suite.repeated - suite.doubled:
        return
    suite.rows -= suite.repeated
    totals.tests -= suite.repeated
    totals.passed -= suite.repeated + suite.retried_passes
    totals.flaky += suite.retried_passes
    for name in suite.retried:
        totals.name_not_passed(name)


def _compare_failures(suite: Suite, totals: Totals) -> None:
    declared = [suite.declared[key] for key in ("failures", "errors") if key in suite.declared]
    stated, shown = sum(declared), suite.bad
    hidden = stated - shown - suite.further - suite.attempts
    if hidden > 0:
        what = f"{suite.name}: declares {hidden} failures or errors that no row shows"
        totals.problem(what)
        totals.count("error", what, hidden)
        suite.rows += hidden
        suite.bad += hidden
        suite.rowless += hidden
    elif stated > shown and stated - shown not in (suite.further, suite.attempts, suite.further + suite.attempts):
        totals.problem(
            f"{suite.name}: declares {stated} failures and errors, {shown} rows show one (attempts may be counted)"
        )
    elif len(declared) == 2 and stated < shown:
        totals.problem(f"{suite.name}: declares {stated} failures and errors, {shown} rows show one")


def _compare_tests(suite: Suite, totals: Totals) -> None:
    stated = suite.declared.get("tests")
    if stated is None:
        return
    rows = suite.rows - suite.rowless
    if stated > suite.rows + suite.attempts:
        why = "; pytest counts subtests too" if suite.name == "pytest" else ""
        totals.problem(f"{suite.name}: declares {stated} tests, {rows} rows are there: rows may be missing{why}")
    elif stated < rows - suite.doubled:
        totals.problem(f"{suite.name}: declares {stated} tests, {rows} rows are there")


def _compare_skipped(suite: Suite, totals: Totals) -> None:
    """``disabled`` and the like stand beside ``skipped`` (ctest) or for it (nextest)."""
    stated = [suite.declared[key] for key in _SKIPPED_KEYS if key in suite.declared]
    if stated and suite.skipped not in (sum(stated), max(stated)):
        totals.problem(f"{suite.name}: declares {sum(stated)} skipped tests, rows show {suite.skipped}")


def finished(totals: Totals) -> Totals:
    """The totals after the last file; no test at all is a problem."""
    if not totals.tests:
        totals.problem("no test was found: nothing was shown")
    return totals


def short(text: str) -> str:
    """``text`` in one line of bounded length, without control characters."""
    line = " ".join(text[: 4 * _NAME_CHARACTERS].split())
    line = line if len(line) <= _NAME_CHARACTERS else line[: _NAME_CHARACTERS - 1] + "…"
    return line if line.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in line)
