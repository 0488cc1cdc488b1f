"""Real pytest runs, in a subprocess."""

import pytest

from collectors.test_suite import ingest_results, run_test_suite
from processes.errors import CollectError


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


def test_a_module_that_cannot_be_imported_is_an_error(suite):
    (suite / "test_broken.py").write_text("import no_such_module\n")
    measured = run(suite)
    assert measured.outcome == "failed"
    assert measured.result.errors == 1


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


def test_another_runner_that_leaves_nothing_cannot_be_recorded(suite):
    with pytest.raises(CollectError, match="left no file"):
        run(suite, "true", junit="out*.xml")


def test_files_of_another_system_are_recorded_with_their_own_window(suite):
    xml = suite / "ci.xml"
    xml.write_text("<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>")
    measured = ingest_results([xml])
    assert measured.outcome == "failed"
    assert measured.finished_at.timestamp() == pytest.approx(xml.stat().st_mtime)
