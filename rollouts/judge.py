"""The canary judge: harm, non-inferior or not proven, from requests, at any time and as often as one likes.

Three metrics are judged against stable requests of the same time. *Error rate* (no answer, 5xx): harm when the
canary's is shown to be above stable's by more than the margin, non-inferior when shown to be below stable's plus the
margin. *Rejection rate* (4xx other than 429), with a margin of 2 percentage points: clients' mistakes meet both
versions alike, and a version that refuses what stable takes is worse. *Latency*: the same for the share of requests
slower than a threshold, which is stable's P95 so far plus the plan's margin (and at least 5 ms: on a P95 of 3 ms, 10 %
is noise of the clock). The threshold of a block of requests comes from earlier blocks alone, so that what is judged is
never chosen by itself; a P95 that is higher shows as more than 5 % of requests above it, hence the margin of that
share is 5 percentage points.

Evidence is that of ``two_sample``. Harm spends the false-rollback budget, divided by the number of processes that may
spend it (union bound); non-inferiority is shown at 5 % for each metric and stage, by the evidence there is now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from decision.objectives import Objective, Slo
from decision.quantities import Margin
from evidence.results import Interval, JudgedMetric
from rollouts.assignment import NO_USER
from rollouts.clusters import design_effect
from rollouts.samples import RATE_LIMITED, RequestSample
from rollouts.two_sample import (
    Counts,
    bound_of_difference,
    count_bad,
    cut_into_blocks,
    growth_per_canary_request,
    log_evidence,
    log_evidence_of_limit,
)

NON_INFERIOR_ALPHA = 0.05
INTERVAL_ALPHA = 0.025
LATENCY_FLOOR_MS = 5.0
SLOW_SHARE_MARGIN = 0.05
EDITION = 2
"""Of the rules. Evidence says by which it was judged, and is judged again by that one.

1: every request stands for itself, 429 is no rejection, the plan's limits do not ask how stable fares, and rejections
are not judged without a stable arm.
"""
_THRESHOLD_FROM = 50
_THRESHOLD_LAST = 5000
_ALONE_BLOCK = 10
_DEFAULT_ERROR_MARGIN = 0.005
REJECTION_MARGIN = 0.02
_REJECTIONS = Objective(unit="ratio", worse_than_stable_by=Margin(absolute=REJECTION_MARGIN, relative=None))
_DEFAULT_LATENCY_MARGIN = 0.10

CountedMetric = Literal["error-rate", "rejection-rate", "latency-p95"]


@dataclass(frozen=True)
class Requests:
    """Requests of both arms in the order in which they started (shapes: requests)."""

    is_canary: NDArray[np.bool_]
    is_error: NDArray[np.bool_]
    is_rejection: NDArray[np.bool_]
    latency_ms: NDArray[np.float64]
    user: NDArray[np.int64] | None = None
    """Numbers from 0 for users; None where users are not known: then every request stands for itself."""

    @classmethod
    def of(cls, requests: Sequence[RequestSample], *, edition: int = EDITION) -> "Requests":
        """Arrays of logged requests, as this ``edition`` of the rules looks at them."""
        ordered = sorted(requests, key=lambda request: request.at_s)
        before = edition < 2
        return cls(
            np.array([r.backend == "canary" for r in ordered], dtype=bool),
            np.array([r.is_error for r in ordered], dtype=bool),
            np.array([r.is_rejection and not (before and r.status == RATE_LIMITED) for r in ordered], dtype=bool),
            np.array([r.latency_ms for r in ordered], dtype=float),
            None if before else _users(ordered),
        )


def _users(requests: Sequence[RequestSample]) -> NDArray[np.int64]:
    """Numbers for users; who has no id may be anybody, so that each of those requests is a user."""
    numbers: dict[str | int, int] = {}
    names = (n if r.user_hash == NO_USER else r.user_hash for n, r in enumerate(requests))
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def judge(requests: Requests, slo: Slo, *, harm_alpha: float, intervals: bool = False) -> tuple[JudgedMetric, ...]:
    """Judge error rate, rejection rate and P95 of the canary; ``harm_alpha``: probability of false harm for each.

    ``intervals`` adds 95 % time-uniform intervals of the difference, which cost more than the verdicts. Values that are
    not finite raise ValueError: they are no measurement.
    """
    if not np.isfinite(requests.latency_ms).all():
        raise ValueError("a latency is not finite")
    return (
        _rate_of("error-rate", requests.is_error, requests, slo.get("error-rate"), harm_alpha, intervals),
        _rate_of("rejection-rate", requests.is_rejection, requests, _REJECTIONS, harm_alpha, intervals),
        _latency(requests, slo.get("latency-p95"), harm_alpha, intervals),
    )


def overall(metrics: Sequence[JudgedMetric]) -> str:
    """Harm if any metric shows it, non-inferior only if all do."""
    verdicts = {metric.verdict for metric in metrics}
    if "harm" in verdicts:
        return "harm"
    return "non-inferior" if verdicts == {"non-inferior"} else "not-proven"


def judge_alone(
    requests: Requests, slo: Slo, *, harm_alpha: float, rejections_at_most: float | None = None
) -> tuple[JudgedMetric, ...]:
    """Judge the canary without a stable arm beside it: error rate and slow requests against the plan's own limits.

    The error rate is judged against ``roll_back_above``; P95 is below ``promote_at_most`` when fewer than 5 % of
    requests are slower than that. A plan limits no rejections: ``rejections_at_most`` is what stable has shown.
    """
    judged = []
    if rejections_at_most is not None:
        rejected = requests.is_rejection[requests.is_canary]
        judged.append(_judged_alone("rejection-rate", rejected, rejections_at_most, _rate(rejected), harm_alpha))
    errors, latency = slo.get("error-rate"), slo.get("latency-p95")
    if errors is not None and errors.roll_back_above is not None:
        bad = requests.is_error[requests.is_canary]
        judged.append(_judged_alone("error-rate", bad, errors.roll_back_above, _rate(bad), harm_alpha))
    if latency is not None and latency.promote_at_most is not None:
        slow = requests.latency_ms[requests.is_canary]
        p95_ms = _p95(slow)
        judged.append(
            _judged_alone("latency-p95", slow > latency.promote_at_most, SLOW_SHARE_MARGIN, p95_ms, harm_alpha)
        )
    return tuple(judged)


def judge_counts(
    name: CountedMetric,
    counts: Counts,
    rates: tuple[float | None, float | None],
    slo: Slo,
    *,
    harm_alpha: float,
    intervals: bool = False,
) -> JudgedMetric:
    """Judge what was counted in blocks instead of request by request; the counts of P95 are those of slow requests.

    ``rates`` are stable's and the canary's, of all that was seen, also after the last block.
    """
    stable, canary = rates
    objective = _REJECTIONS if name == "rejection-rate" else slo.get("error-rate")
    margin = SLOW_SHARE_MARGIN if name == "latency-p95" else _margin_of_rate(objective, stable)
    return _judged(name, stable, canary, counts, margin, margin, harm_alpha, intervals)


def judge_plan_metric(
    name: str,
    counts: Counts,
    rates: tuple[float | None, float | None],
    margin: Margin,
    *,
    harm_alpha: float,
    intervals: bool = False,
) -> JudgedMetric:
    """Judge a metric of the plan's own as ``judge_counts`` does; its counts are of whatever it counts."""
    stable, canary = rates
    allowed = margin.allowance(stable or 0.0)
    return _judged(name, stable, canary, counts, allowed, allowed, harm_alpha, intervals)


def judge_counts_alone(
    name: str,
    bad: NDArray[np.float64],
    requests: NDArray[np.float64],
    limit: float,
    *,
    harm_alpha: float,
) -> JudgedMetric:
    """Judge the share of ``bad`` ones, counted in blocks without a stable arm beside them, against a fixed limit."""
    seen = requests > 0
    bad, requests = bad[seen], requests[seen]
    rate = float(bad.sum() / requests.sum()) if len(requests) else None
    return _against_limit(name, bad, requests, limit, rate, harm_alpha)


def _judged_alone(
    name: str, bad: NDArray[np.bool_], limit: float, canary: float | None, harm_alpha: float
) -> JudgedMetric:
    edges = np.arange(0, len(bad) - len(bad) % _ALONE_BLOCK, _ALONE_BLOCK)
    bad_in_block = np.add.reduceat(bad[: len(edges) * _ALONE_BLOCK].astype(float), edges) if len(edges) else np.zeros(0)
    sizes = np.full(len(edges), float(_ALONE_BLOCK))
    return _against_limit(name, bad_in_block, sizes, limit, canary, harm_alpha)


def _against_limit(
    name: str,
    bad: NDArray[np.float64],
    sizes: NDArray[np.float64],
    limit: float,
    canary: float | None,
    harm_alpha: float,
) -> JudgedMetric:
    harm = log_evidence_of_limit("worse", bad, sizes, limit)
    within = log_evidence_of_limit("within", bad, sizes, limit)
    alarms = np.flatnonzero(harm >= -np.log(harm_alpha))
    shown = bool(len(within)) and bool(within[-1] >= -np.log(NON_INFERIOR_ALPHA))
    return JudgedMetric(
        name=name,
        baseline=None,
        canary=canary,
        difference=None,
        interval=None,
        p_value=float(min(1.0, np.exp(-harm.max()))) if len(harm) else None,
        verdict="harm" if len(alarms) else "non-inferior" if shown else "not-proven",
        margin=None,
        needs_requests=None,
        first_alarm_at=int(sizes[: alarms[0] + 1].sum()) if len(alarms) else None,
    )


def _rate_of(
    name: str,
    bad: NDArray[np.bool_],
    requests: Requests,
    objective: Objective | None,
    harm_alpha: float,
    intervals: bool,
) -> JudgedMetric:
    blocks = cut_into_blocks(requests.is_canary)
    counts = count_bad(blocks, requests.is_canary, bad)
    stable, canary = _rate(bad[~requests.is_canary]), _rate(bad[requests.is_canary])
    margin = _margin_of_rate(objective, stable)
    alike = _alike(requests, bad)
    return _judged(name, stable, canary, counts, margin, margin, harm_alpha, intervals, alike)


def _alike(requests: Requests, bad: NDArray[np.bool_]) -> float:
    """By how much less the last ``bad`` ones tell because those of one user are alike."""
    if requests.user is None:
        return 1.0
    begin = len(requests.user) - len(bad)
    return design_effect(requests.user[begin:], requests.is_canary[begin:], bad)


def _margin_of_rate(objective: Objective | None, stable: float | None) -> float:
    if objective is None or objective.worse_than_stable_by is None:
        return _DEFAULT_ERROR_MARGIN
    return objective.worse_than_stable_by.allowance(stable or 0.0)


def _latency(requests: Requests, objective: Objective | None, harm_alpha: float, intervals: bool) -> JudgedMetric:
    stable_ms = requests.latency_ms[~requests.is_canary]
    canary_ms = requests.latency_ms[requests.is_canary]
    counts, margin_ms, slow = _slow_counts(requests, objective)
    return _judged(
        "latency-p95",
        _p95(stable_ms),
        _p95(canary_ms),
        counts,
        SLOW_SHARE_MARGIN,
        margin_ms,
        harm_alpha,
        intervals,
        _alike(requests, slow),
    )


def _slow_counts(requests: Requests, objective: Objective | None) -> tuple[Counts, float, NDArray[np.bool_]]:
    """Slow requests per block, each block with the threshold that was known before it; and the last margin in ms.

    The last are the requests from the first block on, by whether they were slow.
    """
    stable_at = np.flatnonzero(~requests.is_canary)
    if len(stable_at) <= _THRESHOLD_FROM:
        return Counts(*(np.zeros(0) for _ in range(4))), LATENCY_FLOOR_MS, np.zeros(0, dtype=bool)
    begin = int(stable_at[_THRESHOLD_FROM - 1]) + 1
    is_canary, latency_ms = requests.is_canary[begin:], requests.latency_ms[begin:]
    blocks = cut_into_blocks(is_canary)
    slow = np.zeros(len(is_canary), dtype=bool)
    stable_ms = requests.latency_ms[stable_at]
    seen = np.searchsorted(stable_at, begin + np.concatenate([[0], blocks.ends[:-1]]) if len(blocks.ends) else [])
    margin_ms, start = LATENCY_FLOOR_MS, 0
    for end, known in zip(blocks.ends, seen, strict=True):
        p95_ms = float(np.percentile(stable_ms[max(0, known - _THRESHOLD_LAST) : known], 95))
        margin_ms = _margin_ms(objective, p95_ms)
        slow[start:end] = latency_ms[start:end] > p95_ms + margin_ms
        start = int(end)
    return count_bad(blocks, is_canary, slow), margin_ms, slow


def _margin_ms(objective: Objective | None, p95_ms: float) -> float:
    allowed = objective.worse_than_stable_by if objective else None
    margin_ms = allowed.allowance(p95_ms) if allowed is not None else _DEFAULT_LATENCY_MARGIN * p95_ms
    return max(LATENCY_FLOOR_MS, margin_ms)


def _judged(
    name: str,
    stable: float | None,
    canary: float | None,
    counts: Counts,
    delta: float,
    margin: float,
    harm_alpha: float,
    intervals: bool,
    alike: float = 1.0,
) -> JudgedMetric:
    harm, within = log_evidence("worse", counts, delta) / alike, log_evidence("within", counts, delta)
    alarms = np.flatnonzero(harm >= -np.log(harm_alpha))
    shown = bool(len(within)) and bool(within[-1] >= -np.log(NON_INFERIOR_ALPHA))
    interval = None
    if intervals and len(harm):
        low, high = (bound_of_difference(claim, counts, INTERVAL_ALPHA) for claim in ("worse", "within"))
        interval = Interval(low=low, high=high, level=1 - 2 * INTERVAL_ALPHA)
    return JudgedMetric(
        name=name,
        baseline=stable,
        canary=canary,
        difference=None if stable is None or canary is None else canary - stable,
        interval=interval,
        p_value=float(min(1.0, np.exp(-harm.max()))) if len(harm) else None,
        verdict="harm" if len(alarms) else "non-inferior" if shown else "not-proven",
        margin=margin,
        needs_requests=None if shown or len(alarms) else _needs(counts, within, delta),
        first_alarm_at=int(counts.canary[: alarms[0] + 1].sum()) if len(alarms) else None,
    )


def _needs(counts: Counts, within: NDArray[np.float64], delta: float) -> int | None:
    """Canary requests still needed for non-inferiority if the rates stay as they are; None if they never would do."""
    requests, stable = float(counts.canary.sum()), float(counts.stable.sum())
    # A rate of nothing yet is taken as one bad request among those seen and one more.
    canary_rate = min(float(counts.canary_bad.sum()) / max(requests, 1.0), 1.0)
    stable_rate = min(float(counts.stable_bad.sum()) / max(stable, 1.0), 1.0)
    growth = growth_per_canary_request(canary_rate, stable_rate, stable / requests if requests else 1.0, delta)
    if canary_rate >= stable_rate + delta or growth <= 0:
        return None
    missing = -np.log(NON_INFERIOR_ALPHA) - (float(within[-1]) if len(within) else 0.0)
    return max(1, int(np.ceil(missing / growth)))


def _rate(bad: NDArray[np.bool_]) -> float | None:
    return float(bad.mean()) if len(bad) else None


def _p95(latency_ms: NDArray[np.float64]) -> float | None:
    return float(np.percentile(latency_ms, 95)) if len(latency_ms) else None
