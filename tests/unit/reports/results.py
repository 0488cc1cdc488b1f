"""One passing result of each collector of the plan beside this file."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from evidence.results import (
    ArmCounts,
    Check,
    ContractResult,
    DataQualityResult,
    Document,
    DocumentationResult,
    DrillResult,
    Interval,
    JudgedMetric,
    LatencySummary,
    LoadResult,
    MonitoringResult,
    Result,
    RolloutResult,
    StageResult,
    TestSuiteResult,
)
from evidence.soak_result import ControlResult, SoakNight, SoakResult, Trend


def suite(tests: int, **changes: Any) -> TestSuiteResult:
    values: dict[str, Any] = {
        "tests": tests, "passed": tests, "failed": 0, "errors": 0, "skipped": 0, "flaky": 0, "deselected": 0,
        "pass_rate": 1.0, "duration_s": 3.2, "suites": 1, "not_passed": [], "problems": [], "exit_code": 0,
    }  # fmt: skip
    return TestSuiteResult(**(values | changes))


def checks(*names: str) -> list[Check]:
    return [Check(name=name, passed=True, observed="as expected") for name in names]


def control(**changes: Any) -> ControlResult:
    values: dict[str, Any] = {
        "target": "stable", "hours_under_load": 0.0111, "completed": 1600, "error_rate": 0.0, "p95_ms": 30.0,
        "rss_first_mb": 150.0, "rss_last_mb": 151.0, "growth_per_day": None, "deaths": 0, "gaps": [], "series": [],
    }  # fmt: skip
    return ControlResult(**(values | changes))


def soak() -> SoakResult:
    series = [
        (i * 0.5, 182 + 4 * (1 - math.exp(-i / 12)) + 0.6 * math.sin(i * 1.7), 24 + 6 * math.sin(i / 5) + (i % 7))
        for i in range(80)
    ]
    trend = Trend(
        verdict="not-proven", slope_per_hour=12.0, interval_per_hour=(-40.0, 61.0), growth_per_day=0.9,
        growth_per_day_upper=4.1, growth_per_day_bound=None, smallest_visible_per_day=12.0, coverage=1.0,
        change_points=[], explanations=[], needs_hours=31.0, why="0.01 h are too few for a trend", notes=[],
    )  # fmt: skip
    began = datetime(2026, 3, 2, 12, tzinfo=UTC)
    night = SoakNight(
        record_id=None, started_at=began, finished_at=began + timedelta(seconds=40), hours_under_load=0.0111,
        ended="complete", target_deaths=0, completed=1600, held_rate=1.0, error_rate=0.0, p95_ms=31.0,
    )  # fmt: skip
    return SoakResult(
        target="candidate", target_hours=0.0111, hours_under_load=0.0111, coverage=1.0, ended="complete", segments=1,
        nights=[night], gaps=[], lost_time=[], clock_jumps=[], target_restarts=0, target_deaths=0,
        longest_life_hours=0.0111, longest_life_begins_s=0.5,
        generator_rss_mb=61.0, generator_cpu=0.2, samples=40, samples_missing=0, control=None, offered=1600,
        completed=1600, errors=0, rate_limited=0, expected_4xx=0, error_classes={}, held_rate=1.0, error_rate=0.0,
        served_rate=1.0, mean_ms=11.2, p95_ms=31.0, memory_ratio=0.37,
        rss_first_mb=182.0, rss_last_mb=186.2, growth_per_day=0.9, verdict="not-proven", trend=trend, series=series,
    )  # fmt: skip


def stage(name: str, share: float, canary_requests: int) -> StageResult:
    stable = ArmCounts(requests=4000, errors=3, error_rate=0.00075, mean_ms=10.0, p95_ms=22.0)
    canary = ArmCounts(requests=canary_requests, errors=0, error_rate=0.0, mean_ms=11.0, p95_ms=23.4)
    error_rate = JudgedMetric(
        name="error-rate", baseline=0.00075, canary=0.0, difference=-0.00075,
        interval=Interval(low=-0.004, high=0.003 if share > 0.1 else 0.0046, level=0.95), p_value=0.4,
        verdict="non-inferior", margin=0.005, needs_requests=None, first_alarm_at=None,
    )  # fmt: skip
    latency = JudgedMetric(
        name="latency-p95", baseline=22.0, canary=23.4, difference=1.4,
        interval=Interval(low=-0.5, high=2.1, level=0.95),
        p_value=None, verdict="non-inferior", margin=2.2, needs_requests=None, first_alarm_at=None,
    )  # fmt: skip
    return StageResult(
        stage=name, share=share, duration_s=12.0, stable=stable, canary=canary, metrics=[error_rate, latency],
        outcome="promoted", why="all gates hold",
    )  # fmt: skip


def results() -> dict[str, Result]:
    latency = LatencySummary(count=800, mean_ms=11.4, p50_ms=9.1, p95_ms=28.2, p99_ms=51.0, max_ms=88.0)
    documents = [
        Document(path=path, title=title, lines=lines, missing_sections=[], dead_links=[], problems=[])
        for path, title, lines in (
            ("docs/architecture.md", "Architecture", 118),
            ("docs/deployment-guide.md", "Deployment Guide", 96),
            ("docs/runbooks.md", "Operational Runbooks", 141),
            ("docs/deployment-day.md", "Deployment Day Schedule", 44),
        )
    ]
    return {
        "foundation-tests": suite(
            424, passed=418, skipped=6, pass_rate=418 / 424, deselected=41, not_passed=[]
        ),
        "engine-tests": suite(41),
        "documents": DocumentationResult(documents=4, complete=4, lines=399, details=documents),
        "contract": ContractResult(
            checks=4, passed=4, failed=0, requests=38,
            details=checks("schema", "unknown session answers 404", "answers differ", "keys are validated"),
        ),
        "interactions": DataQualityResult(
            dataset="data/interactions.csv", rows=5000, expectations=14, passed=14, failed=0, errored=0,
            unexpected_rows=0, details=checks("user_id is never null", "rating lies between 1 and 5"),
        ),
        "load": LoadResult(
            arrivals="requests", planned_s=20.0, due_s=20.0, aborted=None, late=0, finished=800, error_classes={},
            highest_rate=40.0, workers=1, workers_lost=0, generator_cpu_highest=0.3,
            generator_rss_highest_bytes=66_000_000,
            target="candidate", duration_s=20.0, offered=800, started=800, completed=800, errors=0, rate_limited=0,
            expected_4xx=3, offered_rate=40.0, completed_rate=40.0, held_rate=1.0, error_rate=0.0,
            served_rate=1.0, mean_ms=11.4,
            p95_ms=28.2, latency=latency, by_endpoint={"/recommend": latency, "/chat": latency}, generator_cpu=0.21,
        ),
        "soak": soak(),
        "rollback": DrillResult(
            drill="rollback", steps=checks("harm injected", "all traffic on stable"), passed=2, failed=0,
            recovery_ms=184.0, requests=900, errors=7,
        ),
        "api-timeout": DrillResult(
            drill="external-api", steps=checks("slow", "hang", "reset", "http-500"), passed=4, failed=0,
            recovery_ms=None, requests=80, errors=0,
        ),
        "monitoring": MonitoringResult(
            source="scrape", targets=2, targets_up=2, metrics_expected=9, metrics_found=9, rules=6, rules_loaded=6,
            alerts_proven=6, panels=8, panels_with_data=8, log_lines=200, log_lines_parsed=200,
            details=checks("stable is up", "candidate is up"),
        ),
        "rehearsal": RolloutResult(
            mode="rehearsal", router="embedded", completed=True, outcome="completed", why="every stage was promoted",
            stages=[stage("canary", 0.05, 1010), stage("ab-test", 0.5, 2000), stage("full", 1.0, 4000)],
            stages_completed=3, canary_requests=7010, canary_errors=0, users_exposed=400, requests_to_harm=None,
            harm_to_stable_ms=None, ticks=31,
        ),
    }  # fmt: skip
