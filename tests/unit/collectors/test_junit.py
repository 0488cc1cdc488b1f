import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.junit import read_junit
from processes.errors import InputError

FOREIGN = Path(__file__).resolve().parents[4] / "shared" / "data" / "junit"
CASES = json.loads((FOREIGN / "index.json").read_text()) if FOREIGN.is_dir() else []

WITH_DIFFERENCES = {"surefire/TestNG merged", "gotestsum", "nested, suite-level error"}


@pytest.mark.skipif(not CASES, reason="the foreign JUnit files are not here")
@pytest.mark.parametrize("case", CASES, ids=[case["dialect"] for case in CASES])
def test_foreign_files_are_counted_as_a_person_counted_them(case):
    expected = case["expected"]
    if expected["status"] == "invalid":
        with pytest.raises(InputError):
            read_junit([FOREIGN / case["file"]])
        return
    totals = read_junit([FOREIGN / case["file"]])
    counted = (totals.passed, totals.failed, totals.errors, totals.skipped, totals.flaky)
    wanted = tuple(expected[k] for k in ("passed", "failures", "errors", "skipped", "flaky"))
    assert counted == wanted
    assert bool(totals.problems) == (case["dialect"] in WITH_DIFFERENCES)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "results.xml"
    path.write_text(text)
    return path


def test_a_file_without_tests_says_that_nothing_was_shown(tmp_path):
    totals = read_junit([write(tmp_path, "<testsuites/>")])
    assert totals.tests == 0
    assert totals.problems


def test_a_failure_that_only_the_totals_know_counts_as_an_error(tmp_path):
    totals = read_junit([write(tmp_path, '<testsuite tests="2" failures="1"><testcase name="a"/></testsuite>')])
    assert (totals.tests, totals.passed, totals.errors) == (2, 1, 1)
    assert totals.problems


def test_attempts_that_surefire_counts_as_tests_and_failures_hide_nothing(tmp_path):
    row = '<testcase name="a"><failure/><rerunFailure/><rerunFailure/></testcase>'
    totals = read_junit([write(tmp_path, f'<testsuite tests="3" failures="3">{row}</testsuite>')])
    assert (totals.tests, totals.failed, totals.errors, totals.problems) == (1, 1, 0, [])


def test_more_failures_than_attempts_explain_are_errors(tmp_path):
    text = '<testsuite tests="3" failures="3"><testcase name="a"><failure/><rerunFailure/></testcase></testsuite>'
    totals = read_junit([write(tmp_path, text)])
    assert (totals.tests, totals.failed, totals.errors) == (2, 1, 1)


def test_failures_that_attempts_explain_in_part_are_a_problem(tmp_path):
    row = '<testcase name="a"><failure/><rerunFailure/><rerunFailure/></testcase>'
    totals = read_junit([write(tmp_path, f'<testsuite tests="1" failures="2">{row}</testsuite>')])
    assert (totals.tests, totals.failed, totals.errors) == (1, 1, 0)
    assert "attempts may be counted" in totals.problems[0]


def test_another_xml_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="the root is <html>"):
        read_junit([write(tmp_path, "<html><testcase/></html>")])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_junit([tmp_path / "no.xml"])


ROWS = {
    "passed": "<testcase name='t'/>",
    "failed": "<testcase name='t'><failure/></testcase>",
    "errors": "<testcase name='t'><error/></testcase>",
    "skipped": "<testcase name='t'><skipped/></testcase>",
    "flaky": "<testcase name='t'><flakyFailure/></testcase>",
}


@given(st.lists(st.sampled_from(sorted(ROWS)), max_size=30), st.integers(1, 4))
def test_every_row_is_counted_once_however_deep_it_lies(tmp_path_factory, outcomes, depth):
    rows = "".join(ROWS[o] for o in outcomes)
    text = "<testsuite>" * depth + rows + "</testsuite>" * depth
    totals = read_junit([write(tmp_path_factory.mktemp("junit"), text)])
    assert totals.tests == len(outcomes)
    assert {name: getattr(totals, name) for name in ROWS} == {name: outcomes.count(name) for name in ROWS}
