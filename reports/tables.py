"""What a result lists, as tables: checks, documents, stages, end points, gaps, tests that did not pass."""

from collections.abc import Sequence

from decision.quantities import duration_text
from evidence.ab_result import AbTestResult
from evidence.accuracy_result import AccuracyResult, MethodAccuracy
from evidence.results import (
    Check,
    ContractResult,
    DataQualityResult,
    DocumentationResult,
    DrillResult,
    LatencySummary,
    LoadResult,
    MonitoringResult,
    Result,
    RolloutResult,
    StageResult,
    TestSuiteResult,
)
from evidence.soak_result import SoakResult
from reports.formats import count, minute, number, optional_ms, optional_percent, percent, short
from reports.part import Part

LONGEST = 60
"""Rows shown of one table; the caption says how many there are."""


class EvidenceTable(Part):
    """A table with a caption; all cells are text, the first column heads its row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(result: Result) -> tuple[EvidenceTable, ...]:
    """The tables of one result; empty ones are left out."""
    match result:
        case TestSuiteResult():
            found = [
                _table("Tests that did not pass", ("Test",), [(name,) for name in result.not_passed]),
                _table("Problems of the run", ("Problem",), [(problem,) for problem in result.problems]),
            ]
        case ContractResult() | DataQualityResult() | MonitoringResult():
            found = [_checks("Checks", result.details)]
        case DrillResult():
            found = [_checks("Steps", result.steps)]
        case DocumentationResult():
            found = [_documents(result)]
        case AccuracyResult():
            found = [_accuracies(result)]
        case LoadResult():
            found = [_endpoints(result.by_endpoint)]
        case SoakResult():
            rows = [(minute(gap.started_at), minute(gap.finished_at), gap.cause) for gap in result.gaps]
            found = [_nights(result), _table("Gaps in the load", ("From", "To", "Cause"), rows)]
        case RolloutResult():
            found = [_arms(result.stages), _metrics(result.stages)]
        case AbTestResult():
            found = [_ab_arms(result), _ab_metrics(result), _ab_segments(result)]
        case _:
            found = []
    return tuple(table for table in found if table.rows)


def _table(caption: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> EvidenceTable:
    shown = tuple(rows[:LONGEST])
    if len(rows) > LONGEST:
        caption = f"{caption} (the first {LONGEST} of {count(len(rows))})"
    return EvidenceTable(caption=caption, columns=columns, rows=shown)


def _checks(caption: str, checks: Sequence[Check]) -> EvidenceTable:
    failed_first = sorted(checks, key=lambda check: check.passed)
    rows = [(check.name, "passed" if check.passed else "failed", check.observed) for check in failed_first]
    return _table(caption, ("Check", "Outcome", "Observed"), rows)


def _documents(result: DocumentationResult) -> EvidenceTable:
    rows = [
        (
            document.title or document.path,
            document.path,
            count(document.lines),
            ", ".join(document.missing_sections) or "none",
            ", ".join(document.dead_links) or "none",
            "; ".join(document.problems) or "none",
        )
        for document in result.details
    ]
    return _table("Documents", ("Document", "Path", "Lines", "Missing sections", "Dead links", "Problems"), rows)


def _accuracies(result: AccuracyResult) -> EvidenceTable:
    def row(method: MethodAccuracy) -> tuple[str, ...]:
        return (
            method.method,
            percent(method.accuracy),
            _ends(method.interval),
            percent(method.candidate_gain),
            _ends(method.gain_interval),
        )

    best_first = sorted(result.methods, key=lambda method: -method.accuracy)
    columns = ("Method", "Right", "Interval", f"Gain of {result.candidate}", "Interval of the gain")
    caption = f"Accuracy on {count(result.cases)} cases, with {percent(result.level)} intervals"
    return _table(caption, columns, [row(method) for method in best_first])


def _ends(interval: tuple[float, float] | None) -> str:
    return "unknown" if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"


def _endpoints(by_endpoint: dict[str, LatencySummary]) -> EvidenceTable:
    rows = [
        (
            name,
            count(latency.count),
            *(
                optional_ms(v)
                for v in (latency.mean_ms, latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.max_ms)
            ),
        )
        for name, latency in sorted(by_endpoint.items())
    ]
    return _table("Latency by end point", ("End point", "Requests", "Mean", "P50", "P95", "P99", "Max"), rows)


def _nights(result: SoakResult) -> EvidenceTable:
    """How the hours came together; one night needs no table."""
    rows = [
        (
            f"{minute(night.started_at)} to {minute(night.finished_at)}",
            "this record" if night.record_id is None else short(night.record_id),
            duration_text(night.hours_under_load * 3600),
            night.ended,
            count(night.target_deaths),
            optional_percent(night.error_rate),
            optional_ms(night.p95_ms),
        )
        for night in result.nights
    ]
    columns = ("Night", "Evidence", "Under load", "Ended", "Deaths of the target", "Errors", "P95")
    under_load = duration_text(result.hours_under_load * 3600)
    return _table(f"{under_load} under load in {len(rows)} nights", columns, rows if len(rows) > 1 else [])


def _arms(stages: Sequence[StageResult]) -> EvidenceTable:
    rows = [
        (
            f"{stage.stage} ({percent(stage.share)})",
            name,
            count(arm.requests),
            count(arm.errors),
            optional_percent(arm.error_rate),
            optional_ms(arm.mean_ms),
            optional_ms(arm.p95_ms),
            f"{stage.outcome} after {number(stage.duration_s)} s: {stage.why}" if name == "canary" else "",
        )
        for stage in stages
        for name, arm in (("stable", stage.stable), ("canary", stage.canary))
    ]
    return _table("Stages", ("Stage", "Version", "Requests", "Errors", "Error rate", "Mean", "P95", "Outcome"), rows)


def _metrics(stages: Sequence[StageResult]) -> EvidenceTable:
    rows = [
        (
            f"{stage.stage}: {metric.name}",
            *(_optional(v) for v in (metric.baseline, metric.canary, metric.difference)),
            _interval(metric.interval.low, metric.interval.high, metric.interval.level) if metric.interval else "none",
            _optional(metric.margin),
            metric.verdict,
            "" if metric.needs_requests is None else count(metric.needs_requests),
        )
        for stage in stages
        for metric in stage.metrics
    ]
    columns = ("Metric", "Stable", "Canary", "Difference", "Interval", "Margin", "Verdict", "Requests needed")
    return _table("What the judge saw", columns, rows)


def _ab_arms(result: AbTestResult) -> EvidenceTable:
    """How many users are in each arm, beside how many should be: first of all, before any metric."""
    total, share = result.units, result.expected_share
    rows = [
        (arm, count(units), percent(units / total) if total else "unknown", percent(expected))
        for arm, units, expected in (
            (result.control_arm, result.control_units, 1 - share),
            (result.treatment_arm, result.treatment_units, share),
        )
    ]
    planned = "" if result.planned_units is None else f" of {count(result.planned_units)} planned"
    caption = f"Arms of the A/B test: {count(total)} users{planned}; p of the split = {number(result.srm_p_value)}"
    return _table(caption, ("Arm", "Users", "Share", "Expected share"), rows)


def _ab_metrics(result: AbTestResult) -> EvidenceTable:
    rows = [
        (
            f"{metric.name} ({metric.role})",
            *(_optional(v) for v in (metric.control, metric.treatment, metric.effect)),
            _interval(*metric.interval, 1 - result.alpha) if metric.interval else "none",
            _optional(metric.adjusted_p),
            f"{metric.verdict}: {metric.why}",
            "" if metric.needs_units is None else count(metric.needs_units),
        )
        for metric in result.metrics
    ]
    columns = ("Metric", result.control_arm, result.treatment_arm, "Effect", "Interval", "Corrected p", "Verdict")
    return _table(f"A/B test: {result.verdict}, {result.why}", (*columns, "Units needed"), rows)


def _ab_segments(result: AbTestResult) -> EvidenceTable:
    rows = [
        (
            f"{cell.segment}={cell.value}: {cell.metric}",
            count(cell.control_units),
            count(cell.treatment_units),
            _optional(cell.effect),
            _interval(*cell.interval, 1 - result.alpha) if cell.interval else "none",
            _optional(cell.adjusted_p),
            cell.verdict,
        )
        for cell in result.segments
    ]
    columns = ("Segment", "Control units", "Treatment units", "Effect", "Interval", "Corrected p", "Seen")
    return _table("Segments of the A/B test, which decide nothing", columns, rows)


def _optional(value: float | None) -> str:
    return "unknown" if value is None else number(value)


def _interval(low: float | None, high: float | None, level: float) -> str:
    return f"{'−∞' if low is None else number(low)} to {'∞' if high is None else number(high)} ({percent(level)})"
