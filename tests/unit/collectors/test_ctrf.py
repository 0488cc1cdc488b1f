import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.ctrf import read_ctrf
from collectors.test_suite import read_results
from processes.errors import InputError


def report(*statuses: str, cases: list[dict] | None = None, **summary: int) -> str:
    tests = cases or [{"name": f"t{n}", "status": s, "duration": 5} for n, s in enumerate(statuses)]
    counted = {s: sum(t["status"] == s for t in tests) for s in ("passed", "failed", "skipped", "pending", "other")}
    declared = {"tests": len(tests), **counted, "start": 1, "stop": 2} | summary
    results = {"tool": {"name": "jest"}, "summary": declared, "tests": tests}
    return json.dumps({"reportFormat": "CTRF", "specVersion": "0.0.0", "results": results})


def read(tmp_path: Path, text: str | bytes):
    path = tmp_path / "ctrf.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_ctrf([path])


def test_each_status_is_counted(tmp_path):
    totals = read(tmp_path, report("passed", "passed", "failed", "skipped", "pending", "other"))
    assert (totals.tests, totals.passed, totals.failed, totals.skipped, totals.errors) == (6, 2, 1, 2, 1)
    assert totals.duration_s == pytest.approx(0.03)
    assert totals.problems == []


@pytest.mark.parametrize(
    "retried", [{"flaky": True}, {"retries": 1}, {"retryAttempts": [{"attempt": 1, "status": "failed"}]}]
)
def test_a_pass_after_a_retry_is_flaky(tmp_path, retried):
    totals = read(tmp_path, report(cases=[{"name": "t", "status": "passed", "duration": 1, **retried}]))
    assert (totals.passed, totals.flaky) == (0, 1)
    assert totals.problems == []


def test_a_failure_that_only_the_summary_knows_is_an_error(tmp_path):
    totals = read(tmp_path, report("passed", failed=1))
    assert (totals.passed, totals.errors) == (1, 1)
    assert totals.problems


@pytest.mark.parametrize("summary", [{"tests": 3}, {"passed": 1}, {"skipped": 1}, {"pending": 1}, {"flaky": 1}])
def test_a_summary_that_differs_is_a_problem(tmp_path, summary):
    totals = read(tmp_path, report("passed", "passed", **summary))
    assert totals.passed == 2
    assert totals.problems


def test_no_tests_show_nothing(tmp_path):
    assert read(tmp_path, report()).problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[]", "no object"),
        ("{}", "results is missing"),
        ('{"results": {"summary": {}, "summary": {}}}', "'summary' twice"),
        (report("passed")[:-1], "delimiter"),
        (report("passed", failed=-1), "summary.failed is no count"),
        (report(cases=[{"name": "t", "status": "exploded"}]), "tests\\[0\\].status is 'exploded'"),
        (report(cases=[{"name": "t", "status": "passed", "retries": "1"}]), "wrong retries"),
        (report("passed").replace(": 5", ": NaN"), "NaN is no JSON"),
        (report("passed").replace("CTRF", "JUNIT"), "reportFormat"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe{\x00", "utf-8"),
    ],
)
def test_what_is_no_ctrf_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as refused:
        read(tmp_path, text)
    assert "\n" not in str(refused.value)


def test_a_file_above_the_limit_is_refused(tmp_path):
    with pytest.raises(InputError, match="larger than 64 MB"):
        read(tmp_path, b" " * 64_000_001)


def test_a_time_that_is_none_is_a_problem_and_a_name_cannot_harm_a_terminal(tmp_path):
    tests = [{"name": "\x1b[2J\ud800", "status": "failed", "duration": int("9" * 400)}]
    totals = read(tmp_path, report(cases=tests))
    assert len(totals.problems) == 1
    assert totals.not_passed[0].isprintable()


def test_files_are_read_by_their_content(tmp_path):
    (tmp_path / "a").write_text(report("passed"))
    (tmp_path / "b").write_text("<testsuite><testcase/></testsuite>")
    (tmp_path / "c").write_bytes(b"\xef\xbb\xbf" + report("failed").encode())
    totals = read_results([tmp_path / name for name in "abc"])
    assert (totals.tests, totals.passed, totals.failed) == (3, 2, 1)


@given(
    st.lists(st.sampled_from(["passed", "failed", "skipped", "pending", "other"]), min_size=1, max_size=9),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_failures_are_never_fewer_than_tests_or_summary_say(tmp_path_factory, statuses, failed, other):
    totals = read(tmp_path_factory.mktemp("c"), report(*statuses, failed=failed, other=other))
    shown = statuses.count("failed") + statuses.count("other")
    assert totals.failed + totals.errors >= max(shown, failed + other)
    assert totals.passed == statuses.count("passed")
