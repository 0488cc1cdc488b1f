"""The analysis of the experiment as it is answered."""

import math
from datetime import datetime

from engines.experiments.analysis import ADVICE, Analysis
from engines.experiments.metrics import METRICS, PLANNED_USERS_PER_ARM
from engines.experiments.statistics import Group
from engines.web.experiment_schemas import ArmOfMetric, ExperimentAnalysis, ExperimentReport, MetricCompared


def metric_shown(name: str, analysis: Analysis) -> MetricCompared:
    """One metric, its p-value adjusted for all that are compared."""
    one = analysis.metrics[name]
    found = one.comparison
    return MetricCompared(
        metric=name,
        kind=METRICS[name].kind,
        control=_arm(one.control),
        treatment=_arm(one.treatment),
        difference=found and found.difference,
        interval=None if found is None else [found.low, found.high],
        p_value=found and found.p_value,
        adjusted_p_value=analysis.adjusted.get(name),
        effect_size=found and found.effect_size,
        significant=analysis.is_significant(name),
        missing=one.missing,
    )


def analysis_shown(analysis: Analysis, began_at: datetime) -> ExperimentAnalysis:
    """All metrics."""
    compared = [name for name, one in analysis.metrics.items() if one.comparison is not None]
    return ExperimentAnalysis(
        began_at=began_at,
        metrics=[metric_shown(name, analysis) for name in compared],
        missing={name: one.missing for name, one in analysis.metrics.items() if one.missing},
        uneven=analysis.uneven,
    )


def report_shown(analysis: Analysis, began_at: datetime) -> ExperimentReport:
    """The verdict with its advice."""
    return ExperimentReport(
        verdict=analysis.verdict,
        advice=ADVICE[analysis.verdict],
        planned_users_per_arm=PLANNED_USERS_PER_ARM,
        has_planned_users=analysis.has_planned_users,
        analysis=analysis_shown(analysis, began_at),
        text=[_line(name, analysis) for name in analysis.metrics],
    )


def _line(name: str, analysis: Analysis) -> str:
    one = analysis.metrics[name]
    users = f"{one.control.users} and {one.treatment.users} users"
    if one.comparison is None:
        return f"{name}: not compared, {one.missing} ({users})"
    found, shown = one.comparison, "significant" if analysis.is_significant(name) else "not significant"
    uneven = "; the arms are uneven" if name in analysis.uneven else ""
    return (
        f"{name}: {found.difference:+.4g} [{found.low:.4g}, {found.high:.4g}], "
        f"adjusted p {analysis.adjusted[name]:.4g}, {shown} ({users}{uneven})"
    )


def _arm(group: Group) -> ArmOfMetric:
    return ArmOfMetric(users=group.users, mean=None if math.isnan(group.mean) else group.mean)
