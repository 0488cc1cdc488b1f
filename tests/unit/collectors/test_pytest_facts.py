import pytest

from collectors.pytest_facts import PytestFacts, count_facts, parse_facts
from collectors.totals import Totals

GOOD = [["setup", "passed"], ["call", "passed"], ["teardown", "passed"]]


def facts(*reports: list[list[str]], plain: int = 0, **changes) -> PytestFacts:
    values = {
        "found": plain + len(reports),
        "collected": plain + len(reports),
        "deselected": 0,
        "collect_errors": [],
        "collect_skips": [],
        "plainly_passed": plain,
        "others": [{"test": f"t{n}", "reports": r} for n, r in enumerate(reports)],
        "exit_code": 0,
        "pytest": "9",
        "python": "3",
    }
    return PytestFacts.model_validate(values | changes)


def status(*reports: list[str]) -> str:
    totals = count_facts(facts(list(reports)), Totals(tests=9))
    (name,) = [n for n in ("passed", "failed", "errors", "skipped", "flaky") if getattr(totals, n)]
    return name


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([["setup", "passed"], ["call", "xpassed"], ["teardown", "passed"]], "passed"),
        ([["setup", "passed"], ["call", "xfailed"], ["teardown", "passed"]], "skipped"),
        ([["setup", "skipped"], ["teardown", "passed"]], "skipped"),
        ([["setup", "failed"], ["teardown", "passed"]], "errors"),
        ([["setup", "passed"], ["call", "skipped"], ["teardown", "failed"]], "errors"),
        ([["setup", "passed"], ["subtest", "failed"], ["call", "passed"], ["teardown", "passed"]], "failed"),
        ([["setup", "passed"], ["call", "rerun"], ["teardown", "passed"], *GOOD], "flaky"),
        ([["setup", "rerun"], ["teardown", "passed"], *GOOD], "flaky"),
        ([["setup", "passed"], ["call", "rerun"], ["teardown", "passed"]], "failed"),
        ([["setup", "passed"], ["call", "rerun"], ["setup", "passed"], ["call", "skipped"]], "failed"),
        ([["setup", "passed"], ["call", "failed"], ["setup", "passed"], ["call", "passed"]], "failed"),
        ([["setup", "passed"]], "errors"),
        ([["???", "failed"]], "errors"),
        ([["setup", "passed"], ["call", "exploded"]], "errors"),
        ([], "errors"),
    ],
)
def test_a_test_has_the_worst_of_its_reports(reports, expected):
    assert status(*reports) == expected


def test_a_failure_that_only_the_xml_shows_counts_as_an_error():
    totals = count_facts(facts(plain=2), Totals(tests=2, passed=1, failed=1))
    assert (totals.passed, totals.errors) == (2, 1)
    assert totals.problems


@pytest.mark.parametrize("changes", [{"collected": 3}, {"collected": None}, {"collected": 1}])
def test_tests_that_did_not_run_or_could_not_be_counted_are_a_problem(changes):
    assert count_facts(facts(plain=2, **changes), Totals(tests=2)).problems


def test_rows_that_the_xml_lacks_are_a_problem():
    assert count_facts(facts(plain=2), Totals(tests=1)).problems


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"collected": "many"}', b"\xff"])
def test_damaged_facts_are_refused(content):
    with pytest.raises(ValueError, match="damaged"):
        parse_facts(content)
