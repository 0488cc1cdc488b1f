"""A small plan, and records as a ledger would hold them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from evidence.record import Record, Subject
from evidence.results import DocumentationResult, Result, TestSuiteResult
from evidence.soak_result import SoakResult, Trend

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
SUBJECT = "dirHash1:" + "a" * 64

PLAN = """\
version: 1
release: shop-2
title: Shop 2
subject: {name: shop, version: "2.0", source: .}
people:
  approver: {name: Ada, signers: ada.allowed}
  operator: {name: Grace}
targets:
  stable: {start: "python -m http.server {port}", ready: /}
  candidate: {start: "python -m http.server {port}", ready: /}
slo:
  error-rate: {unit: ratio, promote_at_most: 0.5%, roll_back_above: 1%, for: 3 windows, worse_than_stable_by: 0.5pp}
profiles:
  quick: {load: 30s, soak: 60s}
collect:
  tests: {kind: test-suite, run: pytest}
  documents: {kind: documentation, documents: [{path: README.md}]}
  soak: {kind: soak, users: users.py, journey: all, rate: 50/s, memory_limit: 512MB}
claims:
  - {id: works, says: It works, needs: tests, criteria: {failed: {equals: 0}, pass_rate: {at_least: 98%}},
     max_age: 24h, gates: [rehearsal, canary, ab-test, full]}
  - {id: written, says: It is written down, needs: documents, criteria: {complete: {at_least: 1}},
     max_age: 7d, gates: [canary, ab-test, full]}
  - {id: memory, says: It does not leak, needs: soak,
     criteria: {hours_under_load: {at_least: 72}, growth_per_day: {at_most: 5%}, verdict: {equals: stable}},
     max_age: 14d, gates: [full]}
summary:
  - {says: All of it, claims: [works, written]}
risks:
  - {risk: Leaks, mitigation: A soak, proven_by: [memory]}
contingencies:
  - {says: Way back, proven_by: [works]}
approvals:
  full: [{role: approver}]
rollout:
  stages: [{name: full, share: 100%}]
schedule: {authorize: "2026-01-10T12:00Z", deploy: "2026-01-12T12:00Z"}
"""


def suite_result(**changes: Any) -> TestSuiteResult:
    values: dict[str, Any] = {
        "tests": 100, "passed": 100, "failed": 0, "errors": 0, "skipped": 0, "flaky": 0, "deselected": 0,
        "pass_rate": 1.0, "duration_s": 3.0, "suites": 1, "not_passed": [], "problems": [], "exit_code": 0,
    }  # fmt: skip
    return TestSuiteResult(**(values | changes))


def documents_result(**changes: Any) -> DocumentationResult:
    return DocumentationResult(**({"documents": 1, "complete": 1, "lines": 10, "details": []} | changes))


def soak_result(**changes: Any) -> SoakResult:
    trend = Trend(
        verdict="stable", slope_per_hour=0.0, interval_per_hour=(-0.1, 0.1), growth_per_day=0.0,
        growth_per_day_upper=0.01, growth_per_day_bound=0.02, smallest_visible_per_day=0.08, coverage=1.0,
        change_points=[], explanations=[], needs_hours=None, why="", notes=[],
    )  # fmt: skip
    values: dict[str, Any] = {
        "target": "candidate", "target_hours": 72.0, "hours_under_load": 72.5, "coverage": 1.0, "segments": 3,
        "nights": [], "ended": "complete", "gaps": [], "lost_time": [], "clock_jumps": [], "target_restarts": 0,
        "target_deaths": 0, "longest_life_begins_s": 0.0,
        "longest_life_hours": 72.5, "generator_rss_mb": 60.0, "generator_cpu": 0.1, "samples": 9,
        "samples_missing": 0, "control": None, "offered": 10, "completed": 10, "errors": 0, "rate_limited": 0,
        "expected_4xx": 0, "error_classes": {}, "held_rate": 1.0, "error_rate": 0.0,
        "served_rate": 1.0, "mean_ms": 5.0, "p95_ms": 9.0, "memory_ratio": 0.5, "rss_first_mb": 100.0,
        "rss_last_mb": 100.0, "growth_per_day": 0.0, "verdict": "stable", "trend": trend, "series": [],
    }  # fmt: skip
    return SoakResult(**(values | changes))


RecordFactory = Callable[..., Record]


def make_record(collector: str, result: Result, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "record_id": f"{abs(hash((collector, repr(result), repr(changes)))):064x}",
        "sequence": 1,
        "subject": Subject("shop", "2.0", SUBJECT),
        "collector": collector,
        "inputs": {},
        "result": result,
        "outcome": "passed",
        "summary": "as measured",
        "started_at": NOW - timedelta(hours=1, minutes=1),
        "finished_at": NOW - timedelta(hours=1),
        "parameters": {},
        "tools": {},
        "left_out": (),
        "attachments": (),
        "signed_by": "k",
    }
    return Record(**(values | changes))
