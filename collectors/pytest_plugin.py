"""A pytest plugin that records what JUnit XML loses: what was collected, deselected and attempted again.

Copied beside the run and loaded by name (``-p``) into the interpreter under test; writes JSON to the file that
``GONOGO_PYTEST_FACTS`` names. Imports nothing but the standard library and pytest, so that it runs wherever pytest
does. It records and does not judge: ``collectors.pytest_facts`` reads what it writes.

With pytest-xdist the workers collect and the controller hears of each test; the workers hand over their counts, and
where these differ or are lost, the counts are null.
"""

import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest

_PLAIN = [["setup", "passed"], ["call", "passed"], ["teardown", "passed"]]

_facts_file = os.environ.pop("GONOGO_PYTEST_FACTS", "")  # not for a pytest that the tests themselves run
_counts: dict[str, Any] = {"found": None, "collected": None, "deselected": 0}
_of_workers: list[Any] = []
_collect_errors: dict[str, None] = {}
_collect_skips: dict[str, None] = {}
_open: dict[str, list[list[str]]] = {}
_others: list[dict[str, Any]] = []
_plain = 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Count what was found before anything is left out."""
    _counts["found"] = len(items)


def pytest_deselected(items: list[Any]) -> None:
    """Count what the selection left out."""
    _counts["deselected"] += len(items)


def pytest_collection_finish(session: Any) -> None:
    """Count what will run; a worker hands its counts to the controller."""
    _counts["collected"] = len(session.items)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["gonogo"] = dict(_counts)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over the counts of a worker; one that crashed has none."""
    _of_workers.append(getattr(node, "workeroutput", {}).get("gonogo"))


def pytest_collectreport(report: Any) -> None:
    """Keep the modules that could not be imported, or that skipped themselves as a whole."""
    if report.failed:
        _collect_errors[report.nodeid] = None
    elif report.skipped:
        _collect_skips[report.nodeid] = None


def pytest_runtest_logstart(nodeid: str) -> None:
    """Begin a test, unless this is a further attempt (pytest-rerunfailures starts each of them)."""
    if nodeid not in _open:
        _open[nodeid] = []


def pytest_runtest_logreport(report: Any) -> None:
    """Keep the outcome of each phase; a subtest (pytest 9, pytest-subtests) is a phase of its own name."""
    outcome = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = {"skipped": "xfailed", "passed": "xpassed"}.get(outcome, outcome)
    if type(report).__name__.lower() != "subtestreport":
        _open.setdefault(report.nodeid, []).append([str(report.when), outcome])
    elif outcome != "passed":
        _open.setdefault(report.nodeid, []).append(["subtest", outcome])


def pytest_runtest_logfinish(nodeid: str) -> None:
    """End a test, unless it will be attempted again."""
    if nodeid in _open and all(outcome != "rerun" for _, outcome in _last_attempt(_open[nodeid])):
        _end(nodeid)


def _last_attempt(reports: list[list[str]]) -> list[list[str]]:
    setups = [index for index, (when, _) in enumerate(reports) if when == "setup"]
    return reports[setups[-1] :] if setups else reports


def _end(nodeid: str) -> None:
    global _plain
    reports = _open.pop(nodeid)
    if reports == _PLAIN:
        _plain += 1
    else:
        _others.append({"test": nodeid, "reports": reports})


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    """Write the facts; a worker of pytest-xdist leaves that to its controller."""
    if not _facts_file or hasattr(session.config, "workerinput"):
        return
    for nodeid in list(_open):
        _end(nodeid)
    counts = _counts
    if _of_workers:
        agreed = all(counted == _of_workers[0] for counted in _of_workers)
        counts = (agreed and _of_workers[0]) or dict.fromkeys(_counts)
    facts = {
        **counts,
        "collect_errors": list(_collect_errors),
        "collect_skips": list(_collect_skips),
        "plainly_passed": _plain,
        "others": _others,
        "exit_code": int(getattr(session, "exitstatus", exitstatus)),
        "pytest": pytest.__version__,
        "python": platform.python_version(),
    }
    Path(_facts_file).write_text(json.dumps(facts), encoding="utf-8")
