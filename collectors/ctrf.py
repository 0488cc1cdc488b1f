"""Recount CTRF, the Common Test Report Format (https://ctrf.io): JSON that keeps retries.

The summary is compared with the tests by the rules of ``collectors.totals``. ``skipped`` and ``pending`` tests are
skipped; ``other`` is an error, because it is no pass and says nothing better. A passed test that names retries, failed
attempts or itself flaky is flaky. A document that does not follow the format is refused: a status that nobody knows
must not be guessed.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NoReturn

from collectors.result_files import read_each
from collectors.totals import Status, Suite, Totals, close, short

_BYTES = 64_000_000
_LONGEST_MS = 1e15
_STATUS: dict[str, Status] = {
    "passed": "passed",
    "failed": "failed",
    "skipped": "skipped",
    "pending": "skipped",
    "other": "error",
}


def read_ctrf(paths: Iterable[Path]) -> Totals:
    """Count the tests of CTRF files. Raises InputError for a file that is missing, above 64 MB, or not CTRF."""
    return read_each(paths, count_ctrf)


def count_ctrf(stream: IO[bytes], name: str, totals: Totals) -> None:
    """Add one file, ``name`` in messages, to ``totals``. Raises ValueError, saying what is wrong with the file."""
    text = stream.read(_BYTES + 1)
    if len(text) > _BYTES:
        raise ValueError(f"refused: larger than {_BYTES // 1_000_000} MB")
    results = _object(_parse(text), "results")
    summary = _object(results, "summary")
    tests = results.get("tests")
    if not isinstance(tests, list):
        raise ValueError("not readable as CTRF: results.tests is no list")
    suite = Suite(name, _declared(summary))
    suites: set[str] = set()
    passed = flaky = 0
    for number, test in enumerate(tests):
        if not isinstance(test, dict):
            raise ValueError(f"not readable as CTRF: results.tests[{number}] is no object")
        status = _status(test, f"results.tests[{number}]", suite)
        totals.count(status, _name(test))
        totals.duration_s += _seconds(test, number, totals)
        suite.rows += 1
        suite.bad += status in ("failed", "error")
        suite.skipped += status == "skipped"
        passed += status in ("passed", "flaky")
        flaky += status == "flaky"
        if "suite" in test:
            suites.add(json.dumps(test["suite"]))
    totals.suites += len(suites)
    if not tests:
        totals.problem(f"{name}: no test is in it")
    if (stated := _count(summary, "passed")) not in (passed, passed - flaky):
        totals.problem(f"{name}: declares {stated} passed tests, {passed} are there")
    if "flaky" in summary and (stated := _count(summary, "flaky")) > flaky:
        totals.problem(f"{name}: declares {stated} flaky tests, {flaky} are there")
    close(suite, None, totals)


def _parse(text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys: dict[str, Any] = {}
        for key, value in pairs:
            if key in keys:
                raise ValueError(f"it has the key {short(key)!r} twice")
            keys[key] = value
        return keys

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    try:
        document = json.loads(text.decode("utf-8-sig"), object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("not readable as CTRF: nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"not readable as CTRF: {short(str(error))}") from error
    if not isinstance(document, dict):
        raise ValueError("not readable as CTRF: it is no object")
    if document.get("reportFormat", "CTRF") != "CTRF":
        raise ValueError("not readable as CTRF: its reportFormat is another")
    return document


def _object(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"not readable as CTRF: {key} is missing or no object")
    return value


def _count(summary: dict[str, Any], key: str) -> int:
    value = summary.get(key)
    if type(value) is not int or value < 0:
        raise ValueError(f"not readable as CTRF: results.summary.{key} is no count")
    return value


def _declared(summary: dict[str, Any]) -> dict[str, int]:
    """The summary in the words of JUnit."""
    return {
        "tests": _count(summary, "tests"),
        "failures": _count(summary, "failed"),
        "errors": _count(summary, "other"),
        "skipped": _count(summary, "skipped") + _count(summary, "pending"),
    }


def _status(test: dict[str, Any], where: str, suite: Suite) -> Status:
    stated = test.get("status")
    if not isinstance(stated, str) or stated not in _STATUS:
        raise ValueError(f"not readable as CTRF: {where}.status is {short(repr(stated))}")
    status = _STATUS[stated]
    attempts = test.get("retryAttempts", [])
    retries = test.get("retries", 0)
    flaky = test.get("flaky", False)
    if not isinstance(attempts, list) or type(retries) is not int or retries < 0 or not isinstance(flaky, bool):
        raise ValueError(f"not readable as CTRF: {where} has wrong retries, retryAttempts or flaky")
    suite.attempts += max(min(retries, 1000), len(attempts))
    if status == "passed" and (flaky or retries or attempts):
        return "flaky"
    return status


def _name(test: dict[str, Any]) -> str:
    name = test.get("name")
    return name if isinstance(name, str) and name else "a test without a name"


def _seconds(test: dict[str, Any], number: int, totals: Totals) -> float:
    """``duration`` is in milliseconds."""
    duration = test.get("duration", 0)
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not duration < _LONGEST_MS:
        totals.problem(f"results.tests[{number}].duration is {short(repr(duration))}")
        return 0.0
    return max(float(duration), 0.0) / 1000
