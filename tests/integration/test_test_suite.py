"""Real pytest runs, in a subprocess."""

import json

import pytest

from collectors.test_suite import ingest_results, recount, run_test_suite
from processes.errors import CollectError, InputError
from tests.unit.flows.replaying import replays


@pytest.fixture
def suite(tmp_path):
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_some.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "@pytest.mark.skip\ndef test_left_out(): pass\n"
        "@pytest.mark.parametrize('x', [1, 1])\ndef test_same_name(x): pass\n"
    )
    return folder


def run(suite, command="pytest -q", **options):
    work_dir = suite.parent / "work"
    work_dir.mkdir(exist_ok=True)
    return run_test_suite(command, cwd=suite, work_dir=work_dir, timeout_s=60, **options)


def test_a_passing_suite_is_recorded_with_what_was_left_out(suite):
    measured = run(suite, "pytest -q -k 'not same_name'")
    assert measured.outcome == "passed"
    assert (measured.result.tests, measured.result.passed, measured.result.skipped) == (2, 1, 1)
    assert measured.result.deselected == 2
    assert [left.count for left in measured.left_out] == [1, 2]
    assert {a.name for a in measured.attachments} == {"junit.xml", "pytest-facts.json", "tests.log"}


def test_a_failing_test_fails_the_suite_and_is_named(suite):
    (suite / "test_bad.py").write_text("def test_bad(): assert False\n")
    measured = run(suite)
    assert measured.outcome == "failed"
    assert measured.result.failed == 1
    assert any("test_bad" in name for name in measured.result.not_passed)


def attached(measured):
    return {attachment.name: attachment.content for attachment in measured.attachments}


def test_a_module_that_cannot_be_imported_is_an_error_and_not_fewer_tests(suite):
    (suite / "test_broken.py").write_text("import no_such_module\n")
    measured = run(suite)
    assert measured.outcome == "failed"
    assert measured.result.errors == 1
    assert "4 tests were collected, 0 ran" in measured.result.problems


def test_a_run_that_stops_at_the_first_failure_says_how_many_tests_did_not_run(suite):
    (suite / "test_a_bad.py").write_text("def test_bad(): assert False\n")
    measured = run(suite, "pytest -q -x")
    assert measured.outcome == "failed"
    assert measured.result.problems == ["5 tests were collected, 1 ran"]


OUTCOMES = """
import pytest, unittest
@pytest.fixture
def bad_teardown():
    yield
    raise RuntimeError
@pytest.fixture
def bad_setup(): raise RuntimeError
def test_good(): pass
def test_subtests(subtests):
    for number in range(3):
        with subtests.test(number=number): pass
def test_twice_bad(bad_teardown): assert 0
def test_bad_teardown(bad_teardown): pass
def test_bad_setup(bad_setup): pass
@pytest.mark.xfail
def test_expected(): assert 0
@pytest.mark.xfail
def test_unexpected(): pass
@pytest.mark.xfail(strict=True)
def test_strict(): pass
def test_skip(): pytest.skip()
class Old(unittest.TestCase):
    def test_of_subtests(self):
        for number in range(3):
            with self.subTest(number=number): self.assertNotEqual(number, 1)
"""


def test_each_test_counts_once_with_its_worst_outcome_whatever_rows_junit_has(suite):
    (suite / "test_some.py").write_text(OUTCOMES)
    (suite / "test_module.py").write_text("import pytest\npytest.skip('not here', allow_module_level=True)\n")
    result = run(suite).result
    assert (result.tests, result.passed, result.failed, result.errors) == (11, 3, 2, 3)
    assert (result.skipped, result.flaky, result.problems) == (3, 0, [])


def test_subtests_are_no_retries(suite):
    (suite / "test_some.py").write_text(
        "def test_a(subtests):\n    for n in range(3):\n        with subtests.test(n=n): pass\n"
    )
    measured = run(suite)
    assert measured.outcome == "passed"
    assert measured.result.tests == 1


@pytest.mark.parametrize("command", ["pytest -q", "pytest -q -k 'not same_name'", "pytest -q -x", "pytest -q -k none"])
def test_a_result_can_be_computed_again_from_its_attachments(suite, command, tmp_path):
    (suite / "test_other.py").write_text(OUTCOMES)
    measured = run(suite, command)
    assert replays(measured, tmp_path)
    assert recount(attached(measured), measured.result) == measured.result


def test_a_result_whose_attachments_say_something_else_is_seen(suite):
    measured = run(suite)
    changed = attached(measured)
    changed["pytest-facts.json"] = changed["pytest-facts.json"].replace(b'"plainly_passed": 3', b'"plainly_passed": 4')
    assert recount(changed, measured.result) != measured.result
    with pytest.raises(InputError, match="no test results"):
        recount({"tests.log": b""}, measured.result)
    with pytest.raises(InputError, match="damaged"):
        recount(attached(measured) | {"pytest-facts.json": b"{}"}, measured.result)


def test_tests_that_a_plugin_takes_away_without_a_word_are_left_out_and_not_forgotten(suite):
    (suite / "conftest.py").write_text("def pytest_collection_modifyitems(items): del items[1:]\n")
    measured = run(suite)
    assert measured.result.tests == 1
    assert measured.result.deselected == 3


def test_the_tests_can_import_nothing_of_ours_because_of_the_plugin(suite):
    (suite / "test_some.py").write_text(
        "import os, sys\n"
        "def test_path():\n"
        "    assert 'GONOGO_PYTEST_FACTS' not in os.environ\n"
        "    assert os.listdir(os.environ['PYTHONPATH']) == ['gonogo_pytest_plugin.py']\n"
    )
    assert run(suite).outcome == "passed"


def test_workers_of_xdist_are_counted_together(suite):
    pytest.importorskip("xdist")
    (suite / "test_other.py").write_text(OUTCOMES)
    alone, together = run(suite).result, run(suite, "pytest -q -n 2").result
    assert together.model_dump(exclude={"duration_s", "not_passed"}) == alone.model_dump(
        exclude={"duration_s", "not_passed"}
    )


def test_attempts_of_rerunfailures_are_flaky(suite):
    pytest.importorskip("pytest_rerunfailures")
    (suite / "test_some.py").write_text("n = 0\ndef test_flaky():\n    global n\n    n += 1\n    assert n > 2\n")
    result = run(suite, "pytest -q --reruns 3").result
    assert (result.tests, result.flaky, result.problems) == (1, 1, [])


def test_a_retried_test_counts_once_and_is_flaky(suite):
    (suite / "conftest.py").write_text(
        "from _pytest.runner import runtestprotocol\n"
        "def pytest_runtest_protocol(item, nextitem):\n"
        "    if 'flaky' not in item.name: return None\n"
        "    for attempt in range(2):\n"
        "        for report in runtestprotocol(item, nextitem=nextitem, log=False):\n"
        "            if report.when == 'call' and attempt == 0: report.outcome = 'rerun'\n"
        "            item.ihook.pytest_runtest_logreport(report=report)\n"
        "    return True\n"
    )
    (suite / "test_some.py").write_text("def test_flaky(): pass\ndef test_good(): pass\n")
    measured = run(suite)
    assert (measured.result.tests, measured.result.flaky, measured.result.passed) == (2, 1, 1)
    assert measured.outcome == "failed"


def test_a_selection_that_matches_nothing_shows_nothing(suite):
    assert run(suite, "pytest -q -k no_such_test").outcome == "inconclusive"


def test_a_suite_that_kills_its_own_process_cannot_be_recorded(suite):
    (suite / "test_kill.py").write_text("import os\ndef test_kill(): os._exit(0)\n")
    with pytest.raises(CollectError, match="no usable results"):
        run(suite)


def test_another_runner_is_recorded_by_the_files_that_it_leaves(suite):
    xml = "<testsuite tests='1'><testcase name='a'/></testsuite>"
    command = "cp given.xml out.xml"
    (suite / "given.xml").write_text(xml)
    measured = run(suite, command, junit="out*.xml")
    assert measured.outcome == "passed"
    assert measured.result.deselected is None


def test_another_runner_may_leave_ctrf_and_files_of_one_name_behind(suite):
    for module in ("a", "b"):
        (suite / module).mkdir()
    summary = {"tests": 1, "passed": 1, "failed": 0, "skipped": 0, "pending": 0, "other": 0}
    report = {"results": {"summary": summary, "tests": [{"name": "t", "status": "passed", "duration": 1}]}}
    (suite / "given").write_text(json.dumps(report))
    measured = run(suite, "sh -c 'cp given a/results.json; cp given b/results.json'", junit="*/results.json")
    assert measured.outcome == "passed"
    assert measured.result.tests == 2
    assert set(attached(measured)) == {"results.json", "2-results.json", "tests.log"}
    assert recount(attached(measured), measured.result) == measured.result


def test_files_that_the_run_did_not_write_do_not_count_and_are_told(suite):
    (suite / "out1.xml").write_text("<testsuite><testcase name='old'/></testsuite>")
    (suite / "given").write_text("<testsuite><testcase name='a'/></testsuite>")
    measured = run(suite, "cp given out2.xml", junit="out*.xml")
    assert measured.result.tests == 1
    assert [(left.what, left.count) for left in measured.left_out] == [("result files", 1)]
    with pytest.raises(CollectError, match="left no file"):
        run(suite, "true", junit="out*.xml")


@pytest.mark.parametrize(
    ("xml", "command", "outcome"),
    [
        ("<testsuite tests='2'><testcase/></testsuite>", "cp given out.xml", "inconclusive"),
        ("<testsuite><testcase/></testsuite>", "sh -c 'cp given out.xml; exit 5'", "errored"),
        ("<testsuite><testcase/></testsuite>", "sh -c 'cp given out.xml; exit 1'", "errored"),
        ("<testsuite><testcase><flakyFailure/></testcase></testsuite>", "cp given out.xml", "failed"),
        ("<testsuite tests='0'/>", "cp given out.xml", "inconclusive"),
        ("<testsuite><testcase><skipped/></testcase></testsuite>", "cp given out.xml", "inconclusive"),
    ],
)
def test_what_is_no_plain_pass_of_another_runner_is_none(suite, xml, command, outcome):
    (suite / "given").write_text(xml)
    assert run(suite, command, junit="out.xml").outcome == outcome


def test_another_runner_that_leaves_nothing_cannot_be_recorded(suite):
    with pytest.raises(CollectError, match="left no file"):
        run(suite, "true", junit="out*.xml")


def test_files_of_another_system_are_recorded_with_their_own_window(suite):
    xml = suite / "ci.xml"
    xml.write_text("<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>")
    measured = ingest_results([xml])
    assert measured.outcome == "failed"
    assert measured.finished_at.timestamp() == pytest.approx(xml.stat().st_mtime)
