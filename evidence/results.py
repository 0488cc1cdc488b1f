"""What each kind of evidence says was measured: one model per kind.

The fields are the vocabulary of claims: a criterion of a plan names a field of the result of its collector's kind.
Shares are ratios from 0 to 1, durations carry their unit in the name. A value that could not be measured is None,
and None never satisfies a criterion.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Ratio = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]

_AMOUNT: dict[str, JsonValue] = {"amount": True}
"""Marks a field that says how much was seen: falling short of a limit means too little, not bad."""


class Result(BaseModel):
    """Base of all results: immutable, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TestSuiteResult(Result):
    """Totals of one run of test suites. ``tests`` counts logical tests: a retried test once.

    ``pass_rate`` is passed / tests: skipped, errored and flaky tests stay in the denominator.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    tests: Count
    passed: Count
    failed: Count
    errors: Count
    skipped: Count
    flaky: Count
    deselected: Count | None = Field(description="left out by the selection; None when the runner does not say")
    pass_rate: Ratio | None
    duration_s: float
    suites: Count
    not_passed: list[str] = Field(description="names of tests that failed, errored or were flaky")
    problems: list[str]
    exit_code: int | None = Field(description="of the test runner; None for ingested files")


class Check(Result):
    """One named check inside a result."""

    name: str
    passed: bool
    observed: str


class ContractResult(Result):
    """Checks of a running system's HTTP contract."""

    checks: Count
    passed: Count
    failed: Count
    requests: Count
    details: list[Check]


class DataQualityResult(Result):
    """One validated dataset. Expectations that could not be evaluated count as ``errored``, not as passed."""

    dataset: str
    rows: Count
    expectations: Count
    passed: Count
    failed: Count
    errored: Count
    unexpected_rows: Count
    details: list[Check]


class LatencySummary(Result):
    """Latency in milliseconds from the intended start of each request."""

    count: Count
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class LoadResult(Result):
    """A load of stated arrival rate. ``error_rate`` = errors / completed; 429 and expected 4xx are counted apart.

    ``offered``, ``started``, ``late`` and ``finished`` count arrivals, the other counts requests: with journeys an
    arrival is one request, with an ordinary locustfile one iteration (the execution of one task, as k6 calls it).
    """

    target: str
    arrivals: Literal["requests", "iterations"] = Field(description="what one arrival is")
    planned_s: float = Field(description="how long the schedule is")
    due_s: float = Field(description="until when arrivals were due: less than planned when the load ended early")
    duration_s: float = Field(json_schema_extra=_AMOUNT, description="until the last answer")
    aborted: str | None = Field(description="the roll-back limit that was broken and ended the load")
    offered: Count = Field(description="arrivals that the schedule asked for")
    started: Count
    late: Count = Field(description="started more than 0.1 s late by the generator's own fault")
    finished: Count
    completed: Count = Field(json_schema_extra=_AMOUNT)
    errors: Count = Field(description="5xx, unexpected 4xx, transport errors and time-outs")
    rate_limited: Count
    expected_4xx: Count
    error_classes: dict[str, int] = Field(description="the 20 most frequent")
    offered_rate: float = Field(description="arrivals a second that the plan asked for, on average")
    highest_rate: float = Field(description="the highest rate of the schedule, arrivals a second")
    completed_rate: float
    held_rate: Ratio | None = Field(description="(started - late) / offered: the generator kept up when near 1")
    error_rate: Ratio | None
    served_rate: Ratio | None = Field(description="completed that were neither errors nor refused with 429 / completed")
    mean_ms: float | None
    p95_ms: float | None
    latency: LatencySummary
    by_endpoint: dict[str, LatencySummary]
    workers: Count = Field(description="processes that shared the schedule")
    workers_lost: Count
    generator_cpu: float | None = Field(description="share of one core that the generator's busiest worker used")
    generator_cpu_highest: float | None = Field(description="the same, in its busiest window")
    generator_rss_highest_bytes: Count = Field(description="memory of the generator in its largest window")


class DrillResult(Result):
    """A rehearsed fault or rollback: what was done, what happened, how long it took."""

    drill: str
    steps: list[Check]
    passed: Count
    failed: Count
    recovery_ms: float | None = Field(
        description="from the trigger to the last bad answer, or until all requests went to stable"
    )
    requests: Count
    errors: Count


class MonitoringResult(Result):
    """Whether the monitoring watches. ``source`` says what was asked: prometheus, or a direct scrape."""

    source: Literal["prometheus", "scrape"]
    targets: Count
    targets_up: Count
    metrics_expected: Count
    metrics_found: Count
    rules: Count
    rules_loaded: Count = Field(json_schema_extra=_AMOUNT)
    alerts_proven: Count = Field(json_schema_extra=_AMOUNT, description="alerts seen firing at a receiver")
    panels: Count
    panels_with_data: Count = Field(json_schema_extra=_AMOUNT)
    log_lines: Count
    log_lines_parsed: Count
    details: list[Check]


class Document(Result):
    """One measured document."""

    path: str
    title: str
    lines: Count
    missing_sections: list[str]
    dead_links: list[str]
    problems: list[str]


class DocumentationResult(Result):
    """Measured documents; ``complete`` counts those without any problem."""

    documents: Count
    complete: Count
    lines: Count
    details: list[Document]


class Interval(Result):
    """A confidence interval or bound; ``level`` is its coverage."""

    low: float | None
    high: float | None
    level: float


class ArmCounts(Result):
    """What one arm of a rollout served."""

    requests: Count
    errors: Count
    error_rate: Ratio | None
    mean_ms: float | None
    p95_ms: float | None


class JudgedMetric(Result):
    """The judge's answer for one metric."""

    name: str
    baseline: float | None
    canary: float | None
    difference: float | None
    interval: Interval | None
    p_value: float | None
    verdict: Literal["harm", "non-inferior", "not-proven"]
    margin: float | None = Field(description="the largest difference that counts as non-inferior")
    needs_requests: int | None
    first_alarm_at: int | None = Field(description="canary requests seen when harm was first shown")


class StageResult(Result):
    """One stage of a rollout as it was lived through."""

    stage: str
    share: Ratio
    duration_s: float
    stable: ArmCounts
    canary: ArmCounts
    metrics: list[JudgedMetric]
    outcome: Literal["promoted", "rolled-back", "frozen", "unfinished"]
    why: str


class RolloutResult(Result):
    """A whole rollout, or its rehearsal. ``completed`` is true only when every stage was promoted on evidence."""

    mode: Literal["rehearsal", "production"]
    router: str
    completed: bool
    outcome: Literal["completed", "rolled-back", "frozen", "unfinished"]
    why: str
    stages: list[StageResult]
    stages_completed: Count
    canary_requests: Count = Field(json_schema_extra=_AMOUNT)
    canary_errors: Count
    users_exposed: Count | None = Field(description="None where counters were judged, which tell no users")
    requests_to_harm: int | None = Field(
        description="canary requests from the start of the rollout until harm was shown"
    )
    harm_to_stable_ms: float | None = Field(description="from harm shown until all requests went to stable")
    ticks: Count


class DecisionResult(Result):
    """A decision, recorded when a report was made."""

    requested_level: str
    authorized_level: str | None
    decision: Literal["GO", "CONDITIONAL GO", "NO-GO", "HOLD"]
    claims_required: Count
    claims_proven: Count
    plan_digest: str
    evidence_root: str
    report_digest: str | None


class RemovedRecord(Result):
    """A record whose content retention removed, and what its row goes on to say of it."""

    record_id: str
    subject: str
    collector: str
    kind: str
    finished_at: datetime


class RetentionResult(Result):
    """What retention removes; recorded before anything is removed."""

    cutoff: datetime
    reason: str
    removed: list[RemovedRecord]
    attachments_removed: Count
