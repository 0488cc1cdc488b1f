"""A pytest plugin that records what JUnit XML loses: what was collected, deselected and attempted again.

Loaded by name (``-p collectors.pytest_plugin``) into the interpreter under test; writes JSON to the file that
``GONOGO_PYTEST_FACTS`` names. Imports nothing but the standard library, so that it runs wherever pytest does.
"""

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

_attempts: dict[str, list[str]] = defaultdict(list)
_facts: dict[str, Any] = {"collected": 0, "deselected": 0, "collect_errors": []}


def pytest_deselected(items: list[Any]) -> None:
    """Count what the selection left out."""
    _facts["deselected"] += len(items)


def pytest_collection_finish(session: Any) -> None:
    """Count what will run."""
    _facts["collected"] = len(session.items)


def pytest_collectreport(report: Any) -> None:
    """Keep the modules that could not even be imported."""
    if report.failed:
        _facts["collect_errors"].append(report.nodeid)


def pytest_runtest_logreport(report: Any) -> None:
    """Keep each attempt's outcome: a test that is run again reports more than one."""
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
        _attempts[report.nodeid].append(report.outcome)


def pytest_sessionfinish(exitstatus: int) -> None:
    """Write the facts."""
    path = os.environ.get("GONOGO_PYTEST_FACTS")
    if not path:
        return
    retried = {test: outcomes for test, outcomes in _attempts.items() if len(outcomes) > 1}
    facts = {**_facts, "ran": len(_attempts), "retried": retried, "exit_code": int(exitstatus)}
    Path(path).write_text(json.dumps(facts), encoding="utf-8")
