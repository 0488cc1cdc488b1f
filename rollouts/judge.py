"""The judge: is the canary shown to be harmful, shown to be no worse than the plan allows, or is neither shown yet?

It reads single requests of two arms that are served at the same time, and may be asked after every request (see
``two_sample`` for the mathematics and its sources, docs/statistics.md for an explanation).

- error-rate. HARM: the canary fails more often than stable (null: p_c <= p_s). NON-INFERIOR: p_c < p_s + margin.
- rejected-rate (4xx but 429). HARM only: p_c > p_s + 10 percentage points; a version that rejects what the other
  accepts is broken, while some difference is what a new version may be for.
- latency-p95. A request of stable is slow above T, one of the canary above T + margin, where T is the P95 of stable
  requests *seen earlier*, renewed when their number has doubled. If the canary's P95 is within the margin, its slow
  share is at most stable's. HARM: it is larger. NON-INFERIOR: it is smaller. Failed requests have no latency.

Harm is judged by the highest evidence so far: once shown, it stays. Non-inferiority is judged by the present evidence.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from decision.objectives import Objective, Slo
from decision.quantities import Margin
from evidence.results import Interval, JudgedMetric
from rollouts.latency import Excess, bound_of_shift, excess_of, quantile, slow_counts
from rollouts.samples import Requests
from rollouts.two_sample import (
    SHORT_BLOCK,
    Blocks,
    Counts,
    Floats,
    bound_of_difference,
    count_bad,
    cut_into_blocks,
    growth_per_canary_request,
    log_evidence,
)

Verdict = Literal["harm", "non-inferior", "not-proven"]

PROMOTE_ALPHA = 0.05
"""Probability, per stage and metric, of calling an inferior canary non-inferior."""
NOTICEABLE_MS = 10.0
"""A P95 that is this much higher is not yet worse: a tenth of 2 ms is noise, and nobody notices 10 ms."""
REJECTION_MARGIN = 0.10
JUDGED_METRICS = ("error-rate", "latency-p95", "rejected-rate")
"""Harm may be shown by each of them: they share the budget of false rollbacks."""
MUST_BE_NON_INFERIOR = ("error-rate", "latency-p95")

_DEFAULT_MARGINS = {"error-rate": Margin(0.005, None), "latency-p95": Margin(None, 0.10)}
_LEARNING_NATS = 1.0
"""What the mixture of bets typically costs beyond the best bet, for the forecast of requests."""


_NONE = np.zeros(0)


@dataclass(frozen=True)
class Judgement:
    """The answer over all metrics. ``needs_requests``: canary requests still needed; None: no forecast."""

    verdict: Verdict
    metrics: tuple[JudgedMetric, ...]
    needs_requests: int | None


def judge(requests: Requests, slo: Slo, *, harm_alpha: float, intervals: bool = True) -> Judgement:
    """Judge the canary against stable on requests in time order.

    ``harm_alpha`` is the probability with which an equally good canary may ever be called harmful, shared evenly over
    the metrics. Without ``intervals`` the answer is the same and comes sooner. A metric with a missing value (NaN) or
    without data is not proven.
    """
    alpha = harm_alpha / len(JUDGED_METRICS)
    coarse = cut_into_blocks(requests.is_canary)
    fine = cut_into_blocks(requests.is_canary, SHORT_BLOCK)
    rate_margin = margin_of("error-rate", slo.get("error-rate"))
    metrics = (
        _judge_rate("error-rate", requests.is_canary, requests.error, coarse, fine, rate_margin, alpha, intervals),
        _judge_latency(requests, coarse, fine, margin_of("latency-p95", slo.get("latency-p95")), alpha, intervals),
        _judge_rejections(requests, fine, alpha),
    )
    return combine(metrics)


def combine(metrics: tuple[JudgedMetric, ...]) -> Judgement:
    """Harm of any metric is harm; non-inferior are all that must be, or it is not proven."""
    needed = [metric for metric in metrics if metric.name in MUST_BE_NON_INFERIOR]
    if any(metric.verdict == "harm" for metric in metrics):
        return Judgement("harm", metrics, 0)
    if needed and all(metric.verdict == "non-inferior" for metric in needed):
        return Judgement("non-inferior", metrics, 0)
    forecasts = [metric.needs_requests for metric in needed if metric.verdict == "not-proven"]
    known = [forecast for forecast in forecasts if forecast is not None]
    return Judgement("not-proven", metrics, max(known) if known and len(known) == len(forecasts) else None)


def margin_of(name: str, objective: Objective | None) -> Margin:
    """The plan's margin to stable, or 0.5 percentage points (rates) and 10 % (latency)."""
    if objective is not None and objective.worse_than_stable_by is not None:
        return objective.worse_than_stable_by
    return _DEFAULT_MARGINS[name]


def latency_allowance_ms(margin: Margin, stable_p95_ms: float) -> float:
    """How much higher the canary's P95 may be: the margin, and at least what is noticeable."""
    return max(margin.allowance(stable_p95_ms), NOTICEABLE_MS)


def missing_metric(name: str) -> JudgedMetric:
    """A metric about which nothing can be said."""
    return JudgedMetric(
        name=name, baseline=None, canary=None, difference=None, interval=None, p_value=None,
        verdict="not-proven", margin=None, needs_requests=None, first_alarm_at=None,
    )  # fmt: skip


@dataclass(frozen=True)
class _Answer:
    verdict: Verdict
    p_value: float
    first_alarm_at: int | None


def answer_of(harm: Floats, within: Floats, canary_per_block: Floats, alpha: float) -> _Answer:
    """The verdict of two paths of log evidence; ``canary_per_block`` belongs to the path of harm."""
    highest = float(harm.max()) if len(harm) else 0.0
    alarms = np.flatnonzero(harm >= -np.log(alpha))
    first = int(np.cumsum(canary_per_block)[alarms[0]]) if len(alarms) else None
    shown_within = bool(len(within)) and float(within[-1]) >= -np.log(PROMOTE_ALPHA)
    verdict: Verdict = "harm" if first is not None else "non-inferior" if shown_within else "not-proven"
    return _Answer(verdict, float(min(1.0, np.exp(-min(highest, 700.0)))), first)


def _judge_rate(
    name: str,
    is_canary: NDArray[np.bool_],
    bad: Floats,
    coarse: Blocks,
    fine: Blocks,
    margin: Margin,
    alpha: float,
    intervals: bool,
) -> JudgedMetric:
    if np.isnan(bad).any() or not len(fine.ends):
        return missing_metric(name).model_copy(update={"needs_requests": _forecast_of_nothing(bad, margin)})
    counts = count_bad(coarse, is_canary, bad > 0)
    short_counts = count_bad(fine, is_canary, bad > 0)
    baseline, canary = float(bad[~is_canary].mean()), float(bad[is_canary].mean())
    delta = margin.allowance(baseline)
    within = log_evidence("within", counts, delta)
    answer = answer_of(log_evidence("worse", short_counts, 0.0), within, fine.canary, alpha)
    return JudgedMetric(
        name=name,
        baseline=baseline,
        canary=canary,
        difference=canary - baseline,
        interval=_interval_of_rates(counts) if intervals else None,
        p_value=answer.p_value,
        verdict=answer.verdict,
        margin=delta,
        needs_requests=0 if answer.verdict != "not-proven" else forecast(counts, within, delta),
        first_alarm_at=answer.first_alarm_at,
    )


def _judge_rejections(requests: Requests, fine: Blocks, alpha: float) -> JudgedMetric:
    name, bad, is_canary = "rejected-rate", requests.rejected, requests.is_canary
    if np.isnan(bad).any() or not len(fine.ends):
        return missing_metric(name)
    rejected = bad > 0
    harm = log_evidence("worse", count_bad(fine, is_canary, rejected), REJECTION_MARGIN) if rejected.any() else _NONE
    answer = answer_of(harm, _NONE, fine.canary, alpha)
    baseline, canary = float(bad[~is_canary].mean()), float(bad[is_canary].mean())
    return JudgedMetric(
        name=name, baseline=baseline, canary=canary, difference=canary - baseline, interval=None,
        p_value=answer.p_value, verdict=answer.verdict, margin=REJECTION_MARGIN, needs_requests=None,
        first_alarm_at=answer.first_alarm_at,
    )  # fmt: skip


def _judge_latency(
    requests: Requests, coarse: Blocks, fine: Blocks, margin: Margin, alpha: float, intervals: bool
) -> JudgedMetric:
    name = "latency-p95"
    answered = requests.error == 0
    if np.isnan(requests.latency_ms[answered]).any() or np.isnan(requests.error).any():
        return missing_metric(name)
    excess = excess_of(requests, answered)
    canary = requests.latency_ms[requests.is_canary & answered]
    if excess is None or not len(canary):
        return missing_metric(name)
    baseline = quantile(requests.latency_ms[~requests.is_canary & answered], 0.95)
    observed = quantile(canary, 0.95)
    relative, absolute = margin.relative or 0.0, max(margin.absolute or 0.0, NOTICEABLE_MS)
    allowance = np.maximum(excess.canary_p95_ms * relative, absolute)
    counts = slow_counts(excess, coarse, allowance)
    within = log_evidence("within", counts, 0.0)
    harm = log_evidence("worse", slow_counts(excess, fine, allowance), 0.0)
    answer = answer_of(harm, within, fine.canary, alpha)
    return JudgedMetric(
        name=name,
        baseline=baseline,
        canary=observed,
        difference=observed - baseline,
        interval=_interval_of_shift(excess, coarse) if intervals else None,
        p_value=answer.p_value,
        verdict=answer.verdict,
        margin=latency_allowance_ms(margin, baseline),
        needs_requests=0 if answer.verdict != "not-proven" else forecast(counts, within, 0.0),
        first_alarm_at=answer.first_alarm_at,
    )


def _interval_of_rates(counts: Counts) -> Interval:
    low = bound_of_difference("worse", counts, PROMOTE_ALPHA)
    high = bound_of_difference("within", counts, PROMOTE_ALPHA)
    return Interval(low=low, high=high, level=1 - 2 * PROMOTE_ALPHA)


def _interval_of_shift(excess: Excess, blocks: Blocks) -> Interval:
    low = bound_of_shift("worse", excess, blocks, PROMOTE_ALPHA)
    high = bound_of_shift("within", excess, blocks, PROMOTE_ALPHA)
    return Interval(low=low, high=high, level=1 - 2 * PROMOTE_ALPHA)


def forecast(counts: Counts, within: Floats, delta: float) -> int | None:
    """Canary requests still needed to show non-inferiority if the rates stay as they are; None: they would not do."""
    canary_n, stable_n = float(counts.canary.sum()), float(counts.stable.sum())
    if not canary_n or not stable_n:
        return None
    stable_rate = float(counts.stable_bad.sum()) / stable_n
    canary_rate = float(counts.canary_bad.sum()) / canary_n
    if canary_rate >= stable_rate + delta:
        return None
    growth = growth_per_canary_request(canary_rate, stable_rate, stable_n / canary_n, delta)
    missing = -np.log(PROMOTE_ALPHA) + _LEARNING_NATS - min(float(within[-1]), -np.log(PROMOTE_ALPHA))
    return max(1, int(np.ceil(missing / growth))) if growth > 1e-9 else None


def _forecast_of_nothing(bad: Floats, margin: Margin) -> int | None:
    if (len(bad) and np.isnan(bad).any()) or margin.absolute is None:
        return None
    return int(np.ceil((-np.log(PROMOTE_ALPHA) + _LEARNING_NATS) / -np.log1p(-margin.absolute)))
