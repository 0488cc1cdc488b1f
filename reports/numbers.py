"""The measured numbers of one record in one line, by its kind. Derived from the result, never from its summary."""

from decision.quantities import duration_text
from evidence.ab_result import AbTestResult
from evidence.accuracy_result import AccuracyResult
from evidence.acts import ApprovalResult, RevocationResult, WaiverResult
from evidence.record import Record
from evidence.results import (
    ContractResult,
    DataQualityResult,
    DecisionResult,
    DocumentationResult,
    DrillResult,
    LoadResult,
    MonitoringResult,
    Result,
    RolloutResult,
    TestSuiteResult,
)
from evidence.soak_result import SoakResult
from reports.formats import count, minute, number, optional_ms, optional_percent, plural, short


def numbers_of(record: Record) -> str:
    """What the record measured, with what was left out of it; a record that measured nothing valid says why."""
    if record.outcome == "errored":
        return f"errored: {record.summary}"
    left_out = sum(x.count for x in record.left_out)
    if isinstance(record.result, TestSuiteResult) and left_out == record.result.deselected:
        left_out = 0  # already among the numbers, as deselected
    said = _numbers(record.result) + (f"; {count(left_out)} left out" if left_out else "")
    return f"inconclusive: {said}" if record.outcome == "inconclusive" else said


def _numbers(result: Result) -> str:
    match result:
        case TestSuiteResult():
            return _test_suite(result)
        case ContractResult():
            return (
                f"{count(result.passed)}/{count(result.checks)} checks passed in {plural(result.requests, 'request')}"
            )
        case DataQualityResult():
            errored = f", {count(result.errored)} could not be evaluated" if result.errored else ""
            return (
                f"{count(result.passed)}/{count(result.expectations)} expectations hold on {count(result.rows)} rows"
                f" of {result.dataset}{errored}, {plural(result.unexpected_rows, 'unexpected row')}"
            )
        case AccuracyResult():
            return (
                f"{result.candidate} right in {optional_percent(result.candidate_accuracy)} of"
                f" {plural(result.cases, 'case')} of {plural(result.units, 'unit')}, {result.baseline} in"
                f" {optional_percent(result.baseline_accuracy)}: gain {optional_percent(result.gain)}"
                f" ({optional_percent(result.gain_low)} to {optional_percent(result.gain_high)})"
            )
        case LoadResult():
            offered = "" if result.arrivals == "requests" else " iterations"
            ended = f"; ended early: {result.aborted}" if result.aborted else ""
            return (
                f"{count(result.completed)} requests at {number(result.completed_rate)}/s of"
                f" {number(result.offered_rate)}{offered}/s for {number(result.duration_s)} s,"
                f" {optional_percent(result.error_rate)} errors, P95 {optional_ms(result.p95_ms)}{ended}"
            )
        case SoakResult():
            return _soak(result)
        case DrillResult():
            steps = result.passed + result.failed
            back = (
                "recovery time unknown" if result.recovery_ms is None else f"back in {optional_ms(result.recovery_ms)}"
            )
            if result.drill == "auto-rollback" and not result.failed:
                return (
                    f"rolled back by the judge within {plural(result.requests, 'canary request')},"
                    f" {plural(result.errors, 'error')}, {back}"
                )
            return (
                f"{count(result.passed)}/{count(steps)} steps passed, {back},"
                f" {plural(result.errors, 'error')} in {plural(result.requests, 'request')}"
            )
        case MonitoringResult():
            return (
                f"{result.targets_up}/{result.targets} targets up, {result.metrics_found}/{result.metrics_expected}"
                f" metrics, {result.rules_loaded}/{result.rules} rules loaded, {result.alerts_proven}/{result.rules}"
                f" alerts proven, {result.panels_with_data}/{result.panels} panels with data,"
                f" {count(result.log_lines_parsed)}/{count(result.log_lines)} log lines parsed"
            )
        case DocumentationResult():
            return f"{result.complete}/{result.documents} documents complete, {plural(result.lines, 'line')}"
        case RolloutResult():
            return _stage(result) if result.stage is not None else _rollout(result)
        case AbTestResult():
            return _ab_test(result)
        case DecisionResult():
            return f"{result.decision} at level {result.requested_level}"
        case ApprovalResult():
            return f"{result.person} ({result.role}): {result.word} level {result.level}"
        case WaiverResult():
            return f"{result.person} ({result.role}): waive {result.claim} until {minute(result.expires_at)}"
        case RevocationResult():
            return f"{result.person} ({result.role}): revoke {short(result.revokes)}"
    raise TypeError(f"no numbers for {type(result).__name__}")


def _stage(result: RolloutResult) -> str:
    (stage,) = result.stages
    return (
        f"production, stage {stage.stage} at {optional_percent(result.share)} of users for"
        f" {duration_text((result.days or 0.0) * 86400)}: {stage.outcome}, {result.verdict},"
        f" {plural(stage.canary.errors, 'error')} in {plural(stage.canary.requests, 'canary request')}"
    )


def _ab_test(result: AbTestResult) -> str:
    after = "" if result.days is None else f" after {duration_text(result.days * 86400)}"
    planned = "" if result.planned_units is None else f", {count(result.planned_units)} planned"
    return (
        f"{result.verdict}{after}: {result.why}; {plural(result.units, 'user')} ({count(result.control_units)}"
        f" {result.control_arm}, {count(result.treatment_units)} {result.treatment_arm}{planned})"
    )


def _rollout(result: RolloutResult) -> str:
    said = (
        f"{result.mode} {result.outcome}: {result.stages_completed}/{len(result.stages)} stages promoted,"
        f" {plural(result.canary_errors, 'error')} in {plural(result.canary_requests, 'canary request')}"
    )
    if result.requests_to_harm is None:
        return said
    last = result.stages[-1]
    return (
        f"{said}; rolled back by itself in stage {last.stage} after"
        f" {plural(result.requests_to_harm, 'canary request')} and {last.duration_s * 1000:,.0f} ms,"
        f" all traffic on stable {optional_ms(result.harm_to_stable_ms)} later ({last.why})"
    )


def _test_suite(result: TestSuiteResult) -> str:
    rest = ", ".join(
        f"{count(value)} {word}"
        for word, value in (
            ("failed", result.failed),
            ("errored", result.errors),
            ("skipped", result.skipped),
            ("flaky", result.flaky),
        )
        if value
    )
    excluded = "deselected unknown" if result.deselected is None else f"{count(result.deselected)} deselected"
    return (
        f"{count(result.passed)}/{count(result.tests)} tests passed ({optional_percent(result.pass_rate)})"
        f"{', ' + rest if rest else ''}, {excluded}"
    )


def _soak(result: SoakResult) -> str:
    growth = optional_percent(result.growth_per_day)
    nights = f" in {len(result.nights)} nights" if len(result.nights) > 1 else ""
    return (
        f"{duration_text(result.hours_under_load * 3600)} under load{nights}, memory {result.verdict}"
        f" ({growth} growth a day), {optional_percent(result.error_rate)} errors, P95 {optional_ms(result.p95_ms)}"
    )
