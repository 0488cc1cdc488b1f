"""One metric of an A/B test: what was measured, and what may be said of it."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from decision.ab_metrics import AbAnalysis, AbMetric
from evidence.ab_result import AbMetricResult, AbVerdict
from rollouts.ab_estimates import (
    Adjusted,
    Bools,
    Rates,
    Sample,
    adjust,
    difference_of_means,
    linearise,
    sample_of,
)
from rollouts.ab_size import size_for
from rollouts.ab_units import MetricValues
from rollouts.sample_ratio import ALPHA, split_p_value


@dataclass(frozen=True)
class Measured:
    """Numbers of one metric, in its own unit; None where they could not be computed, and then ``problem`` says why.

    ``p_value`` is two-sided against no effect, and of a guardrail one-sided against its margin; ``p_worse`` is
    one-sided against "not worse than the margin". ``variances`` are those between units of control and treatment.
    """

    control_units: int
    treatment_units: int
    missing_units: int
    control: float | None = None
    treatment: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    p_worse: float | None = None
    margin: float | None = None
    minimum_effect: float | None = None
    variances: tuple[float, float] | None = None
    variance_reduction: float | None = None
    problem: str | None = None

    @property
    def effect(self) -> float | None:
        """Treatment - control."""
        return None if self.control is None or self.treatment is None else self.treatment - self.control


def measure(metric: AbMetric, values: MetricValues, is_treatment: Bools, alpha: float, share: float) -> Measured:
    """Compare the arms; ``alpha`` is the error of the interval, ``share`` the expected one of the treatment's units."""
    known = values.known
    treated, values = is_treatment[known], values.of(known)
    counts = Measured(int((~treated).sum()), int(treated.sum()), int((~known).sum()))
    if counts.missing_units and split_p_value(counts.treatment_units, len(treated), share) < ALPHA:
        return replace(counts, problem="more units of one arm than of the other have no value")
    if min(counts.control_units, counts.treatment_units) < 2:
        return replace(counts, problem="fewer than two units in an arm have a value")
    if metric.type == "proportion" and values.covariate is None:
        return _measure_rates(metric, values, treated, alpha, counts)
    return _measure_means(metric, values, treated, alpha, counts)


def _measure_rates(metric: AbMetric, values: MetricValues, treated: Bools, alpha: float, counts: Measured) -> Measured:
    hits = values.values
    if not np.isin(hits, (0.0, 1.0)).all():
        raise ValueError("a proportion is made of 0 and 1")
    rates = Rates(int(hits[~treated].sum()), counts.control_units, int(hits[treated].sum()), counts.treatment_units)
    control, treatment = float(hits[~treated].mean()), float(hits[treated].mean())
    measured = replace(
        counts,
        control=control,
        treatment=treatment,
        interval=rates.interval(alpha),
        p_value=rates.p_two_sided(),
        minimum_effect=metric.minimum_effect.allowance(control) if metric.minimum_effect else None,
        variances=(control * (1 - control), treatment * (1 - treatment)),
    )
    if metric.margin is None:
        return measured
    margin = metric.margin.allowance(control)
    bound = -metric.sign * margin
    return _with_margin(measured, metric, margin, rates.p_above(bound), rates.p_below(bound))


def _measure_means(metric: AbMetric, values: MetricValues, treated: Bools, alpha: float, counts: Measured) -> Measured:
    per_unit = values.values.astype(float)
    if values.denominator is not None:
        for arm in (treated, ~treated):
            lines = linearise(per_unit[arm], values.denominator[arm])
            if lines is None:
                return replace(counts, problem="the denominators of an arm do not add up to more than zero")
            per_unit[arm] = lines
    control_raw, treatment_raw = float(per_unit[~treated].mean()), float(per_unit[treated].mean())
    adjusted = Adjusted(per_unit, 0.0)
    if values.covariate is not None:
        if differs := _covariate_differs(values.covariate, treated):
            return replace(counts, control=control_raw, treatment=treatment_raw, problem=differs)
        adjusted = adjust(per_unit, values.covariate, treated)
    control, treatment = sample_of(adjusted.values[~treated]), sample_of(adjusted.values[treated])
    if control is None or treatment is None:
        return replace(counts, problem="fewer than two units in an arm have a value")
    difference = difference_of_means(control, treatment)
    if difference is None:
        return replace(counts, control=control.mean, treatment=treatment.mean, problem="the values of neither arm vary")
    measured = replace(
        counts,
        control=control.mean,
        treatment=treatment.mean,
        interval=difference.interval(alpha),
        p_value=difference.p_two_sided(),
        minimum_effect=metric.minimum_effect.allowance(control.mean) if metric.minimum_effect else None,
        variances=(control.variance, treatment.variance),
        variance_reduction=adjusted.reduction if values.covariate is not None else None,
    )
    return measured if metric.margin is None else _against_margin(metric, control, treatment, measured)


def _against_margin(metric: AbMetric, control: Sample, treatment: Sample, measured: Measured) -> Measured:
    """A relative margin moves with the control's mean, whose own error then counts: T - (1 ± r) C against zero."""
    if metric.margin is None:
        return measured
    relative = metric.margin.relative
    scale, bound = 1.0, -metric.sign * metric.margin.allowance(control.mean)
    if metric.margin.absolute is None and relative is not None:
        scale, bound = 1 - metric.sign * relative * float(np.sign(control.mean)), 0.0
    difference = difference_of_means(control, treatment, scale)
    if difference is None:
        return replace(measured, problem="the values of neither arm vary")
    margin = metric.margin.allowance(control.mean)
    return _with_margin(measured, metric, margin, difference.p_above(bound), difference.p_below(bound))


def _with_margin(measured: Measured, metric: AbMetric, margin: float, above: float, below: float) -> Measured:
    """``above``: p-value of "the effect is at most the bound"; ``below``: of "it is at least that"."""
    within, worse = (above, below) if metric.direction == "increase" else (below, above)
    return replace(measured, margin=margin, p_value=within, p_worse=worse)


def _covariate_differs(covariate: np.ndarray, treated: Bools) -> str | None:
    """A covariate from before the start cannot depend on the arm: else it is from later, or the arms are not alike."""
    known = np.isfinite(covariate)
    control, treatment = sample_of(covariate[known & ~treated]), sample_of(covariate[known & treated])
    if control is None or treatment is None:
        return "fewer than two units in an arm have a covariate"
    difference = difference_of_means(control, treatment)
    if difference is not None and difference.p_two_sided() < ALPHA:
        return f"the covariate itself differs between the arms (p = {difference.p_two_sided():.2g})"
    return None


def answer(
    name: str, metric: AbMetric, measured: Measured, adjusted_p: float | None, analysis: AbAnalysis, share: float
) -> AbMetricResult:
    """The result of one metric with its verdict; nothing that could not be computed is ever a pass."""
    verdict, why = _verdict(metric, measured, adjusted_p, analysis.alpha)
    return AbMetricResult(
        name=name,
        type=metric.type,
        role=metric.role,
        direction=metric.direction,
        control_units=measured.control_units,
        treatment_units=measured.treatment_units,
        missing_units=measured.missing_units,
        control=measured.control,
        treatment=measured.treatment,
        effect=measured.effect,
        relative_effect=measured.effect / abs(measured.control)
        if measured.effect is not None and measured.control
        else None,
        interval=measured.interval,
        p_value=measured.p_value,
        adjusted_p=adjusted_p,
        verdict=verdict,
        why=why,
        margin=measured.margin,
        minimum_effect=measured.minimum_effect,
        covariate=metric.covariate,
        variance_reduction=measured.variance_reduction,
        needs_units=_needs(metric, measured, analysis, share) if verdict == "not-proven" else None,
    )


def _verdict(metric: AbMetric, measured: Measured, adjusted_p: float | None, alpha: float) -> tuple[AbVerdict, str]:
    if measured.problem is not None or adjusted_p is None or measured.effect is None or measured.interval is None:
        return "not-proven", measured.problem or "could not be computed"
    if metric.role == "guardrail":
        if measured.p_worse is not None and measured.p_worse <= alpha / 2:
            return "worse", "shown to be worse by more than its margin"
        if adjusted_p <= alpha / 2:
            return "non-inferior", "shown to be worse by less than its margin, if at all"
        return "not-proven", "it may be worse by more than its margin"
    gain, shown = metric.sign * measured.effect, adjusted_p <= alpha
    if shown and gain < 0:
        return "worse", "shown to be worse than the control"
    least = measured.minimum_effect
    if least is not None and max(metric.sign * end for end in measured.interval) < least:
        return "too-small", "shown to be smaller than the least effect that is wanted"
    if not shown:
        return "not-proven", "a difference is not shown"
    if least is not None and gain < least:
        return "not-proven", "shown to be better, but by less than the least effect that is wanted, so far"
    return "better", "shown to be better than the control"


def _needs(metric: AbMetric, measured: Measured, analysis: AbAnalysis, share: float) -> int | None:
    """Further units for the planned power, at the variance that was seen; None when it cannot be told."""
    wanted = measured.margin if metric.role == "guardrail" else measured.minimum_effect
    if not wanted or measured.variances is None or max(measured.variances) <= 0:
        return None
    size = size_for(wanted, measured.variances, analysis.alpha, analysis.power, share)
    return max(1, size.units - measured.control_units - measured.treatment_units)


def direction_shown(
    metric: AbMetric, effect: float | None, p: float | None, alpha: float
) -> Literal["better", "worse", "not-proven"]:
    """What an effect with this adjusted p-value shows, for segments."""
    if effect is None or p is None or p > alpha or effect == 0:
        return "not-proven"
    return "better" if effect * metric.sign > 0 else "worse"
