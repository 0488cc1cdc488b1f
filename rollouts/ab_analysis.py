"""The A/B test as a whole: are the arms what they should be, then every metric, then one verdict.

Primary metrics are one family for the correction, secondary ones another: each keeps the error rate alpha. Every
guardrail must be shown non-inferior, so that no correction is due (an intersection-union test: Berger, "Multiparameter
hypothesis testing and acceptance sampling", Technometrics 24, 1982); it is tested one-sided at alpha / 2, which is the
interval's own level (ICH E9, "Statistical principles for clinical trials", 1998, section 5.5). A segment never decides
anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from decision.ab_metrics import AbAnalysis, AbMetric, AbRole
from evidence.ab_result import AbMetricResult, AbSegmentResult, AbTestResult
from rollouts.ab_corrections import adjust_p_values
from rollouts.ab_metric import Measured, answer, direction_shown, measure
from rollouts.ab_units import Units
from rollouts.sample_ratio import ALPHA, split_p_value

Verdict = Literal["better", "worse", "non-inferior", "not-proven", "invalid"]


def analyse(
    units: Units,
    metrics: Mapping[str, AbMetric],
    analysis: AbAnalysis,
    *,
    share: float = 0.5,
    arms: tuple[str, str] = ("control", "treatment"),
    planned_units: int | None = None,
) -> AbTestResult:
    """Analyse a test once, at its end. ``share``: of units that should be in the treatment; ``arms``: their names.

    With fewer units than ``planned_units`` nothing is shown: the tests are meant to be looked at once. Raises KeyError
    when ``units`` lacks a metric or a segment.
    """
    treated = int(units.is_treatment.sum())
    total = len(units.is_treatment)
    mismatch = split_p_value(treated, total, share)
    measured = {
        name: measure(metric, units.metrics[name], units.is_treatment, analysis.alpha, share)
        for name, metric in metrics.items()
    }
    spoilt = None
    if mismatch < ALPHA:
        spoilt = f"sample-ratio mismatch: {treated:,} of {total:,} units are in {arms[1]}, expected {share:.1%}"
    elif planned_units is not None and total < planned_units:
        spoilt = f"{total:,} of {planned_units:,} planned units"
    if spoilt is not None:
        measured = {name: replace(numbers, problem=numbers.problem or spoilt) for name, numbers in measured.items()}
    adjusted = _adjusted(metrics, measured, analysis)
    results = [
        answer(name, metric, measured[name], adjusted[name], analysis, share) for name, metric in metrics.items()
    ]
    verdict, why = _overall(results)
    if spoilt is not None:
        verdict, why = ("invalid" if mismatch < ALPHA else "not-proven"), spoilt
    return AbTestResult(
        control_arm=arms[0],
        treatment_arm=arms[1],
        control_units=total - treated,
        treatment_units=treated,
        expected_share=share,
        srm_p_value=mismatch,
        planned_units=planned_units,
        units=total,
        alpha=analysis.alpha,
        correction=analysis.correction,
        verdict=verdict,
        why=why,
        metrics=results,
        segments=_segments(units, metrics, analysis, share, spoilt is not None),
    )


def _adjusted(
    metrics: Mapping[str, AbMetric], measured: Mapping[str, Measured], analysis: AbAnalysis
) -> dict[str, float | None]:
    adjusted = {name: measured[name].p_value for name in metrics}
    roles: tuple[AbRole, ...] = ("primary", "secondary")
    for role in roles:
        family = [name for name, metric in metrics.items() if metric.role == role]
        p_values = adjust_p_values([measured[name].p_value for name in family], analysis.correction)
        adjusted |= dict(zip(family, p_values, strict=True))
    return adjusted


def _overall(results: Sequence[AbMetricResult]) -> tuple[Verdict, str]:
    if worse := [metric.name for metric in results if metric.verdict == "worse"]:
        return "worse", f"shown to be worse: {', '.join(worse)}"
    gates = [metric for metric in results if metric.role != "secondary"]
    if open_gates := [m for m in gates if m.verdict not in ("better", "non-inferior")]:
        return "not-proven", "; ".join(f"{m.name}: {m.why}" for m in open_gates)
    better = [metric.name for metric in gates if metric.role == "primary"]
    guardrails = [metric.name for metric in gates if metric.role == "guardrail"]
    if better:
        held = f"; non-inferior: {', '.join(guardrails)}" if guardrails else ""
        return "better", f"shown to be better: {', '.join(better)}{held}"
    if guardrails:
        return "non-inferior", f"non-inferior: {', '.join(guardrails)}; no primary metric was tested"
    return "not-proven", "no primary metric and no guardrail was tested"


def _segments(
    units: Units, metrics: Mapping[str, AbMetric], analysis: AbAnalysis, share: float, spoilt: bool
) -> list[AbSegmentResult]:
    """Every metric in every segment, all of them one family for the correction."""
    cells = []
    for segment in analysis.segments:
        parts = units.segments[segment]
        for value in np.unique(parts):
            inside = parts == value
            for name, metric in metrics.items():
                effect_only = metric.model_copy(update={"role": "secondary", "margin": None})
                numbers = measure(
                    effect_only, units.metrics[name].of(inside), units.is_treatment[inside], analysis.alpha, share
                )
                if spoilt or split_p_value(int(units.is_treatment[inside].sum()), int(inside.sum()), share) < ALPHA:
                    numbers = replace(numbers, problem="the arms are not what they should be")
                cells.append((segment, str(value), name, numbers))
    p_values = adjust_p_values([numbers.p_value for *_, numbers in cells], analysis.correction)
    return [
        AbSegmentResult(
            segment=segment,
            value=value,
            metric=name,
            control_units=numbers.control_units,
            treatment_units=numbers.treatment_units,
            effect=numbers.effect,
            interval=numbers.interval,
            p_value=numbers.p_value,
            adjusted_p=p,
            verdict="not-proven"
            if numbers.problem
            else direction_shown(metrics[name], numbers.effect, p, analysis.alpha),
        )
        for (segment, value, name, numbers), p in zip(cells, p_values, strict=True)
    ]
