"""The judge's answer from counters of both arms, read again and again, where requests are not logged one by one.

What happened between two readings is a block of ``two_sample``: when they are taken does not depend on outcomes. Blocks
are as long as the time between readings, so that harm is seen up to one reading later than in the request log, and bets
learn from fewer blocks. A counter that went back belongs to a process that began anew, and counts from zero, as in
Prometheus. Latency is the share of requests above a fixed limit: a histogram tells no more than its own buckets do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf, nextafter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from decision.objectives import Objective, Slo
from decision.rollout_spec import PlanMetric
from evidence.results import ArmCounts, JudgedMetric
from rollouts.judge import (
    SLOW_SHARE_MARGIN,
    CountedMetric,
    judge_counts,
    judge_counts_alone,
    judge_plan_metric,
)
from rollouts.samples import Arm, RequestSample
from rollouts.two_sample import Counts

Floats = NDArray[np.float64]
Metrics = Mapping[str, PlanMetric]

_ARMS: tuple[Arm, Arm] = ("stable", "canary")
_REQUESTS, _ERRORS, _REJECTIONS, _SLOW, _TOO_SLOW, _MORE = range(6)


@dataclass(frozen=True)
class ArmCounters:
    """What one arm has counted so far: all requests, those that failed, were rejected, were slow, were too slow.

    ``metrics`` are the plan's own: of each what was bad, and of how many.
    """

    requests: float
    errors: float
    rejections: float
    slow: float
    too_slow: float = 0.0
    metrics: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """The counters of both arms, read at the same time (epoch seconds); slow is above the one limit or the other."""

    stable: ArmCounters
    canary: ArmCounters
    at_s: float = 0.0
    slow_ms: float = 0.0
    too_slow_ms: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "Reading":
        """As it was kept. Raises TypeError and KeyError for anything else."""
        stable, canary = (_arm_of_json(kept[arm]) for arm in _ARMS)
        return cls(**{**kept, "stable": stable, "canary": canary})


def increases(readings: Sequence[Reading]) -> Floats:
    """What was counted between readings (shape: intervals, arms, counters), stable first.

    Raises ValueError for counters that are no counts.
    """
    names = list(readings[0].stable.metrics) if readings else []
    totals = np.array([[_row(arm, names) for arm in (r.stable, r.canary)] for r in readings], dtype=float)
    totals = totals.reshape(-1, 2, _MORE + 2 * len(names))
    if not np.isfinite(totals).all() or (totals < 0).any():
        raise ValueError("a counter is negative or not finite")
    before, after = totals[:-1], totals[1:]
    restarted = (after < before).any(axis=2, keepdims=True)
    return np.where(restarted, after, after - before)


def judge_counters(
    readings: Sequence[Reading],
    slo: Slo,
    metrics: Metrics | None = None,
    *,
    harm_alpha: float,
    intervals: bool = False,
) -> tuple[JudgedMetric, ...]:
    """Judge error rate, rejection rate, slow requests and the plan's own metrics as ``judge`` does, in time order.

    What was counted before the first reading does not count. Requests of one arm alone wait for those of the other.
    Raises ValueError for counters that are no counts.
    """
    counted = increases(readings)
    names: tuple[CountedMetric, ...] = ("error-rate", "rejection-rate", "latency-p95")
    judged = [
        judge_counts(name, *_counts(counted, column, _REQUESTS), slo, harm_alpha=harm_alpha, intervals=intervals)
        for column, name in enumerate(names, _ERRORS)
    ]
    for place, (name, metric) in enumerate((metrics or {}).items()):
        bad = _MORE + 2 * place
        counts, rates = _counts(counted, bad, bad + 1)
        margin = metric.worse_than_stable_by
        judged.append(judge_plan_metric(name, counts, rates, margin, harm_alpha=harm_alpha, intervals=intervals))
    return tuple(judged)


def judge_counters_alone(
    readings: Sequence[Reading],
    slo: Slo,
    metrics: Metrics | None = None,
    *,
    harm_alpha: float,
    rejections_at_most: float | None = None,
) -> tuple[JudgedMetric, ...]:
    """Judge the canary without a stable arm beside it, by the plan's own limits, as ``judge_alone`` does.

    A metric of the plan without a limit of its own is not judged.
    """
    canary = increases(readings)[:, 1]
    errors, latency = slo.get("error-rate"), slo.get("latency-p95")
    columns: list[tuple[str, int, int, float | None]] = [
        ("rejection-rate", _REJECTIONS, _REQUESTS, rejections_at_most),
        ("error-rate", _ERRORS, _REQUESTS, errors.roll_back_above if errors else None),
        ("latency-p95", _SLOW, _REQUESTS, SLOW_SHARE_MARGIN if latency and latency.promote_at_most else None),
    ]
    for place, (name, metric) in enumerate((metrics or {}).items()):
        columns.append((name, _MORE + 2 * place, _MORE + 2 * place + 1, metric.roll_back_above))
    return tuple(
        judge_counts_alone(name, np.minimum(canary[:, bad], canary[:, of]), canary[:, of], limit, harm_alpha=harm_alpha)
        for name, bad, of, limit in columns
        if limit is not None
    )


def counts_of_readings(readings: Sequence[Reading], arm: Arm, last: int | None = None) -> ArmCounts:
    """What one arm served; of the ``last`` so many requests at least, in whole intervals.

    The P95 is the lowest of the plan's limits that it is not above, or the next number above both: how far above them
    it is cannot be told.
    """
    if last is not None:
        readings = readings_of_last(readings, arm, last)
    total = increases(readings)[:, _ARMS.index(arm)].sum(axis=0)
    requests, errors = round(float(total[_REQUESTS])), round(float(total[_ERRORS]))
    return ArmCounts(
        requests=requests,
        errors=errors,
        error_rate=errors / requests if requests else None,
        mean_ms=None,
        p95_ms=_p95_ms(total, readings[-1]) if requests else None,
    )


def readings_of_last(readings: Sequence[Reading], arm: Arm, last: int) -> Sequence[Reading]:
    """The readings between which an arm served at least its ``last`` so many requests; all when there are fewer."""
    since_end = np.cumsum(increases(readings)[::-1, _ARMS.index(arm), _REQUESTS])
    return readings[max(0, len(since_end) - 1 - int(np.searchsorted(since_end, last))) :]


def errors_at_once(readings: Sequence[Reading], objective: Objective | None) -> str | None:
    """Whether the last canary requests break the limit that acts at once, in words; None when they do not."""
    if objective is None or objective.roll_back_at_once_above is None:
        return None
    needed = max(objective.at_least_requests, 1)
    counts = counts_of_readings(readings, "canary", last=needed)
    if counts.requests < needed or counts.errors / counts.requests <= objective.roll_back_at_once_above:
        return None
    return f"error-rate is {counts.errors / counts.requests:.1%} in the last {counts.requests} canary requests"


Kept = Sequence[RequestSample] | Sequence[Reading]
"""What was seen of an epoch: requests, or readings of counters."""


def readings_in(kept: Kept) -> list[Reading]:
    """The readings; none where requests are kept."""
    return cast(list[Reading], list(kept)) if kept and isinstance(kept[0], Reading) else []


def requests_in(kept: Kept) -> list[RequestSample]:
    """The requests; none where readings are kept."""
    return cast(list[RequestSample], list(kept)) if kept and isinstance(kept[0], RequestSample) else []


def totals_of(kept: Kept, arm: Arm) -> tuple[int, int]:
    """How many requests of one arm there were, and how many of them failed."""
    if readings := readings_in(kept):
        counts = counts_of_readings(readings, arm)
        return counts.requests, counts.errors
    mine = [request for request in requests_in(kept) if request.backend == arm]
    return len(mine), sum(request.is_error for request in mine)


def rejections_of(kept: Kept, arm: Arm) -> int:
    """How many requests of one arm were rejected."""
    if readings := readings_in(kept):
        return round(float(increases(readings)[:, _ARMS.index(arm), _REJECTIONS].sum()))
    return sum(request.backend == arm and request.is_rejection for request in requests_in(kept))


def fewest_of_canary(kept: Kept) -> int:
    """How many canary requests there were, or events of a metric of the plan's own where there were fewer of those."""
    if readings := readings_in(kept):
        counted = increases(readings)[:, 1].sum(axis=0)
        return round(float(min([counted[_REQUESTS], *counted[_MORE + 1 :: 2]])))
    return totals_of(kept, "canary")[0]


def stable_after_canary(readings: Sequence[Reading]) -> int:
    """How many requests stable has served since the canary's last one."""
    counted, after = increases(readings)[::-1, :, _REQUESTS], 0.0
    for stable, canary in counted:
        if canary > 0:
            break
        after += stable
    return round(after)


def _arm_of_json(kept: Mapping[str, Any]) -> ArmCounters:
    metrics = {name: (float(bad), float(of)) for name, (bad, of) in kept["metrics"].items()}
    return ArmCounters(**{**kept, "metrics": metrics})


def _row(counters: ArmCounters, names: Sequence[str]) -> list[float]:
    own = [counters.requests, counters.errors, counters.rejections, counters.slow, counters.too_slow]
    return [*own, *(value for name in names for value in counters.metrics[name])]


def _counts(counted: Floats, bad: int, of: int) -> tuple[Counts, tuple[float | None, float | None]]:
    """One metric in blocks that hold both arms, and the rates of stable and canary over all of the time."""
    blocks, open_block = [], np.zeros((2, 2))
    pairs = counted[:, :, [of, bad]]
    # Counters of one scrape are not read in one instant: what is bad may be counted before what it is a share of.
    pairs[:, :, 1] = np.minimum(pairs[:, :, 1], pairs[:, :, 0])
    for increase in pairs:
        open_block = open_block + increase
        if (open_block[:, 0] > 0).all():
            blocks.append(open_block)
            open_block = np.zeros((2, 2))
    stable, canary = np.moveaxis(np.array(blocks).reshape(-1, 2, 2), 1, 0)
    rates = [float(arm[bad] / arm[of]) if arm[of] else None for arm in counted.sum(axis=0)]
    return Counts(canary[:, 0], canary[:, 1], stable[:, 0], stable[:, 1]), (rates[0], rates[1])


def _p95_ms(total: Floats, reading: Reading) -> float:
    for column, limit_ms in ((_SLOW, reading.slow_ms), (_TOO_SLOW, reading.too_slow_ms)):
        if total[column] <= SLOW_SHARE_MARGIN * total[_REQUESTS]:
            return limit_ms
    return nextafter(reading.too_slow_ms, inf)
