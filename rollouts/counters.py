"""The judge's answer from counters of both arms, read again and again, where requests are not logged one by one.

What happened between two readings is a block of ``two_sample``: when they are taken does not depend on outcomes. Blocks
are as long as the time between readings, so that harm is seen up to one reading later than in the request log, and bets
learn from fewer blocks. A counter that went back belongs to a process that began anew, and counts from zero, as in
Prometheus. Latency is the share of requests above a fixed limit: a histogram tells no more than its own buckets do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from decision.objectives import Slo
from evidence.results import JudgedMetric
from rollouts.judge import CountedMetric, judge_counts
from rollouts.two_sample import Counts


@dataclass(frozen=True)
class ArmCounters:
    """What one arm has counted so far: all requests, those that failed, were rejected, and were slow."""

    requests: float
    errors: float
    rejections: float
    slow: float


@dataclass(frozen=True)
class Reading:
    """The counters of both arms, read at the same time."""

    stable: ArmCounters
    canary: ArmCounters


def judge_counters(readings: Sequence[Reading], slo: Slo, *, harm_alpha: float) -> tuple[JudgedMetric, ...]:
    """Judge error rate, rejection rate and slow requests as ``judge`` does, from readings in time order.

    What was counted before the first reading does not count. Requests of one arm alone wait for those of the other.
    Raises ValueError for counters that are no counts.
    """
    totals = np.array([[_row(reading.stable), _row(reading.canary)] for reading in readings]).reshape(-1, 2, 4)
    if not np.isfinite(totals).all() or (totals < 0).any():
        raise ValueError("a counter is negative or not finite")
    before, after = totals[:-1], totals[1:]
    restarted = (after < before).any(axis=2, keepdims=True)
    increases = np.where(restarted, after, after - before)
    stable, canary = np.moveaxis(_with_both_arms(increases), 1, 0)
    all_stable, all_canary = increases.sum(axis=0)
    names: tuple[CountedMetric, ...] = ("error-rate", "rejection-rate", "latency-p95")
    return tuple(
        judge_counts(
            name,
            Counts(canary[:, 0], canary[:, column], stable[:, 0], stable[:, column]),
            (_rate(all_stable, column), _rate(all_canary, column)),
            slo,
            harm_alpha=harm_alpha,
        )
        for column, name in enumerate(names, 1)
    )


def _row(counters: ArmCounters) -> list[float]:
    return [getattr(counters, field.name) for field in fields(ArmCounters)]


def _rate(counted: NDArray[np.float64], column: int) -> float | None:
    return float(counted[column] / counted[0]) if counted[0] else None


def _with_both_arms(increases: NDArray[np.float64]) -> NDArray[np.float64]:
    """Increases (shape: intervals, arms, counters), added up until each block has requests of both arms."""
    blocks, open_block = [], np.zeros((2, 4))
    for increase in increases:
        open_block = open_block + increase
        if (open_block[:, 0] > 0).all():
            blocks.append(open_block)
            open_block = np.zeros((2, 4))
    return np.array(blocks).reshape(-1, 2, 4)
