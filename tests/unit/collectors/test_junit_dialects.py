"""Files as the tools write them, and what is honest to say of them."""

from pathlib import Path

import pytest

from benchmarks.junit.__main__ import write_results
from collectors.junit import read_junit

COUNTS = ("tests", "passed", "failed", "errors", "skipped", "flaky")


def read(tmp_path: Path, text: str):
    path = tmp_path / "results.xml"
    path.write_text(text)
    return read_junit([path])


def counts(totals) -> dict[str, int]:
    return {name: getattr(totals, name) for name in COUNTS if getattr(totals, name)}


CTEST = """<testsuite name="(empty)" tests="6" failures="1" disabled="1" skipped="3" hostname="" time="1">
<testcase name="ok" classname="ok" time="0.001" status="run"><properties/><system-out></system-out></testcase>
<testcase name="bad" classname="bad" time="0.001" status="fail"><failure message="Failed"/></testcase>
<testcase name="dis" classname="dis" time="0" status="disabled"><system-out>Disabled</system-out></testcase>
<testcase name="code" classname="code" time="0" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>
<testcase name="no" classname="no" time="0" status="notrun"><skipped message="Unable to find executable"/></testcase>
<testcase name="dep" classname="dep" time="0" status="notrun"><skipped message="Fixture dependency failed"/></testcase>
</testsuite>"""


def test_a_test_that_ctest_could_not_run_is_an_error_and_one_that_skipped_itself_is_skipped(tmp_path):
    totals = read(tmp_path, CTEST)
    assert counts(totals) == {"tests": 6, "passed": 1, "failed": 1, "errors": 2, "skipped": 2}
    assert totals.problems == []


def test_tests_that_gtest_did_not_run_are_skipped_without_a_child(tmp_path):
    rows = (
        "<testcase name='a' status='run' result='completed'/><testcase name='b' status='notrun' result='suppressed'/>"
    )
    totals = read(
        tmp_path,
        f"<testsuites tests='2' failures='0' disabled='1' errors='0'><testsuite>{rows}</testsuite></testsuites>",
    )
    assert counts(totals) == {"tests": 2, "passed": 1, "skipped": 1}
    assert totals.problems == []


def test_a_go_package_that_did_not_build_is_an_error_although_it_has_no_row(tmp_path):
    suite = "<testsuite tests='1' failures='0' timestamp='0001-01-01T00:00:00Z'><testcase name='a'/></testsuite>"
    totals = read(tmp_path, f"<testsuites tests='1' failures='0' errors='1'>{suite}</testsuites>")
    assert counts(totals) == {"tests": 2, "passed": 1, "errors": 1}


def test_a_test_that_nextest_ran_again_is_flaky_when_it_passed_and_failed_when_it_did_not(tmp_path):
    flaky, failed = "<flakyFailure/><flakyFailure/>", "<failure/><rerunFailure/>"
    rows = f"<testcase name='a'>{flaky}</testcase><testcase name='b'>{failed}</testcase>"
    totals = read(tmp_path, f"<testsuite tests='2' disabled='0' errors='0' failures='1'>{rows}</testsuite>")
    assert counts(totals) == {"tests": 2, "failed": 1, "flaky": 1}
    assert totals.problems == []


def test_jest_names_that_repeat_are_tests_of_their_own(tmp_path):
    rows = "<testcase classname='' name='works'/>" * 3
    totals = read(tmp_path, f"<testsuites tests='3'><testsuite tests='3' skipped='0'>{rows}</testsuite></testsuites>")
    assert counts(totals) == {"tests": 3, "passed": 3}
    assert totals.problems == []


def test_a_warning_of_phpunit_is_no_pass(tmp_path):
    inner = (
        "<testsuite tests='1' warnings='1'><testcase name='a'><warning>No tests found</warning></testcase></testsuite>"
    )
    totals = read(
        tmp_path,
        f"<testsuites><testsuite tests='1' failures='0' errors='0' warnings='1'>{inner}</testsuite></testsuites>",
    )
    assert counts(totals) == {"tests": 1, "errors": 1}


def test_several_outcomes_of_one_test_count_once_with_the_worst(tmp_path):
    rows = (
        "<testcase name='a'><failure/><failure/></testcase><testcase name='b'><skipped/><failure/><error/></testcase>"
    )
    totals = read(tmp_path, f"<testsuite tests='2' failures='3' errors='1'>{rows}</testsuite>")
    assert counts(totals) == {"tests": 2, "failed": 1, "errors": 1}
    assert totals.problems == []


def test_a_failed_call_and_a_failed_teardown_of_pytest_are_both_told(tmp_path):
    row = "<testcase classname='t' name='a'>"
    rows = f"{row}<failure/></testcase>{row}<error/></testcase>"
    totals = read(tmp_path, f"<testsuite name='pytest' tests='1' failures='1' errors='1'>{rows}</testsuite>")
    assert counts(totals) == {"tests": 2, "failed": 1, "errors": 1}
    assert totals.problems == []


RERUN = "<testcase classname='t' name='a'/>"


def test_empty_rows_of_pytest_rerunfailures_are_attempts_when_pytest_counted_the_test_once(tmp_path):
    rows = RERUN * 3 + "<testcase classname='t' name='b'/>"
    totals = read(
        tmp_path, f"<testsuite name='pytest' errors='0' failures='0' skipped='0' tests='2'>{rows}</testsuite>"
    )
    assert counts(totals) == {"tests": 2, "passed": 1, "flaky": 1}
    assert totals.not_passed == ["t::a"]
    assert totals.problems == []


def test_empty_rows_before_a_failure_of_pytest_are_no_passes(tmp_path):
    rows = RERUN * 2 + "<testcase classname='t' name='a'><failure/></testcase>"
    totals = read(
        tmp_path, f"<testsuite name='pytest' errors='0' failures='1' skipped='0' tests='1'>{rows}</testsuite>"
    )
    assert counts(totals) == {"tests": 1, "failed": 1}


def test_rows_of_pytest_that_its_total_does_not_call_attempts_stay_tests(tmp_path):
    totals = read(tmp_path, f"<testsuite name='pytest' tests='3' failures='0' errors='0'>{RERUN * 3}</testsuite>")
    assert counts(totals) == {"tests": 3, "passed": 3}
    assert totals.problems == []


def test_a_retry_of_pytest_does_not_explain_a_failure_that_no_row_shows(tmp_path):
    totals = read(tmp_path, f"<testsuite name='pytest' tests='1' failures='1' errors='0'>{RERUN * 2}</testsuite>")
    assert totals.errors == 1


def test_a_skipped_row_right_before_its_own_pass_needs_a_person_because_testng_writes_retries_so(tmp_path):
    rows = "<testcase classname='t' name='a'><skipped/></testcase><testcase classname='t' name='a'/>"
    totals = read(tmp_path, f"<testsuite tests='2' skipped='1'>{rows}</testsuite>")
    assert counts(totals) == {"tests": 2, "passed": 1, "skipped": 1}
    assert "TestNG" in totals.problems[0]


@pytest.mark.parametrize("outcome", ["failure", "error"])
def test_a_suite_that_failed_itself_is_counted(tmp_path, outcome):
    totals = read(tmp_path, f"<testsuite><{outcome}/><testcase name='a'/></testsuite>")
    assert (totals.tests, totals.passed, totals.failed + totals.errors) == (2, 1, 1)


@pytest.mark.parametrize("declared", ["tests='3'", "tests='1'", "tests='-1'", "tests='many'", "skipped='1'"])
def test_totals_that_differ_from_the_rows_are_a_problem(tmp_path, declared):
    totals = read(tmp_path, f"<testsuite {declared}><testcase name='a'/><testcase name='b'/></testsuite>")
    assert counts(totals) == {"tests": 2, "passed": 2}
    assert len(totals.problems) == 1


@pytest.mark.parametrize("key", ["skipped", "skips", "disabled", "ignored"])
def test_skipped_tests_are_declared_under_several_names(tmp_path, key):
    rows = "<testcase name='a'><skipped/></testcase><testcase name='b'/>"
    assert read(tmp_path, f"<testsuite {key}='1'>{rows}</testsuite>").problems == []
    assert read(tmp_path, f"<testsuite {key}='2'>{rows}</testsuite>").problems


def test_a_status_that_nobody_knows_is_an_error(tmp_path):
    totals = read(tmp_path, "<testsuite><testcase name='a' status='exploded'/></testsuite>")
    assert counts(totals) == {"tests": 1, "errors": 1}
    assert "exploded" in totals.problems[0]


@pytest.mark.parametrize(
    ("time", "seconds", "problems"),
    [
        ("1,234.5", 1234.5, 0),
        ("-3", 0, 0),
        ("", 0, 0),
        ("NaN", 0, 1),
        ("inf", 0, 1),
        ("soon", 0, 1),
        ("1e-3", 0.001, 0),
    ],
)
def test_times_are_seconds_or_a_problem(tmp_path, time, seconds, problems):
    totals = read(tmp_path, f"<testsuite><testcase name='a' time='{time}'/></testsuite>")
    assert totals.duration_s == seconds
    assert len(totals.problems) == problems


def test_a_file_without_tests_beside_others_is_a_problem(tmp_path):
    (tmp_path / "a.xml").write_text("<testsuite><testcase name='a'/></testsuite>")
    (tmp_path / "b.xml").write_text("<testsuite tests='0'/>")
    totals = read_junit([tmp_path / "a.xml", tmp_path / "b.xml"])
    assert totals.tests == 1
    assert totals.problems == ["b.xml: no test is in it"]


def test_problems_and_names_are_bounded(tmp_path):
    totals = read(
        tmp_path,
        "<testsuites>" + "<testsuite tests='9'><testcase><error/></testcase></testsuite>" * 500 + "</testsuites>",
    )
    assert (len(totals.problems), len(totals.not_passed), totals.errors) == (201, 200, 500)
    assert totals.problems[-1] == "300 more problems are not listed"


def test_a_declared_total_of_a_billion_failures_costs_no_time_and_no_memory(tmp_path):
    assert read(tmp_path, "<testsuite failures='999999999'><testcase/></testsuite>").errors == 999_999_999


def test_names_with_a_prefix_are_the_same_elements(tmp_path):
    text = "<j:testsuite xmlns:j='urn:x'><j:testcase name='a'><j:failure/></j:testcase></j:testsuite>"
    assert counts(read(tmp_path, text)) == {"tests": 1, "failed": 1}


def test_the_file_of_the_benchmark_is_one_without_differences(tmp_path):
    path = tmp_path / "large.xml"
    write_results(path, 2000)
    totals = read_junit([path])
    assert counts(totals) == {"tests": 2000, "passed": 1960, "failed": 20, "skipped": 20}
    assert totals.problems == []
