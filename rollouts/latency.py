"""Latency of two arms as slow or not slow, against thresholds that are known before the requests they judge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollouts.samples import Requests
from rollouts.two_sample import Blocks, Claim, Counts, Floats, log_evidence

_FIRST_THRESHOLD_AFTER = 50
"""Answered stable requests before the first threshold; requests until then are not judged."""
_BISECTIONS = 12


@dataclass(frozen=True)
class Excess:
    """How far judged, answered requests lie above the stable P95 that was known before each of them, in ms.

    One entry per request of an arm, in time order; ``canary_at`` and ``stable_at`` are their places among all
    requests, ``canary_p95_ms`` the stable P95 that each canary request is measured against.
    """

    canary_ms: Floats
    canary_at: NDArray[np.int64]
    canary_p95_ms: Floats
    stable_ms: Floats
    stable_at: NDArray[np.int64]


def excess_of(requests: Requests, answered: NDArray[np.bool_]) -> Excess | None:
    """Measure against the P95 of stable at 50, 100, 200, … answered requests of it; None before the first."""
    stable_at = np.flatnonzero(~requests.is_canary & answered)
    canary_at = np.flatnonzero(requests.is_canary & answered)
    if len(stable_at) < _FIRST_THRESHOLD_AFTER:
        return None
    stable_ms = requests.latency_ms[stable_at]
    starts, p95_ms = [], []
    count = _FIRST_THRESHOLD_AFTER
    while count <= len(stable_at):
        starts.append(int(stable_at[count - 1]))
        p95_ms.append(quantile(stable_ms[:count], 0.95))
        count *= 2
    thresholds = np.array([np.nan, *p95_ms])  # NaN: before the first threshold
    against = thresholds[np.searchsorted(starts, canary_at)]
    judged = ~np.isnan(against)
    stable_excess = stable_ms - thresholds[np.searchsorted(starts, stable_at)]
    later = ~np.isnan(stable_excess)
    return Excess(
        canary_ms=(requests.latency_ms[canary_at] - against)[judged],
        canary_at=canary_at[judged],
        canary_p95_ms=against[judged],
        stable_ms=stable_excess[later],
        stable_at=stable_at[later],
    )


def quantile(values: Floats, level: float) -> float:
    """The value that a share ``level`` of the values does not exceed (inverse of the empirical distribution)."""
    place = max(0, int(np.ceil(level * len(values))) - 1)
    return float(np.partition(values, place)[place])


def slow_counts(excess: Excess, blocks: Blocks, allowance_ms: Floats | float) -> Counts:
    """Slow requests per block: stable above its threshold, the canary more than ``allowance_ms`` above it.

    A block in which one of the arms has no judged request counts for nothing.
    """
    return _counts(excess, allowance_ms, _edges(excess, blocks))


def bound_of_shift(claim: Claim, excess: Excess, blocks: Blocks, alpha: float) -> float | None:
    """The time-uniform 1 - alpha bound (ms) of how much higher the canary's P95 is; None when nothing is shown.

    Upper for ``within``, lower for ``worse``: the shift at which the claim is just shown.
    """
    if not len(excess.canary_ms):
        return None
    edges = _edges(excess, blocks)
    highest, lowest = float(excess.canary_ms.max()), -float(excess.canary_p95_ms.max())
    shown, unknown = (highest, lowest) if claim == "within" else (lowest, highest)

    def holds(shift_ms: float) -> bool:
        path = log_evidence(claim, _counts(excess, shift_ms, edges), 0.0)
        return bool(len(path)) and float(path[-1]) >= -np.log(alpha)

    if not holds(shown):
        return None
    for _ in range(_BISECTIONS):
        middle = (shown + unknown) / 2
        if holds(middle):
            shown = middle
        else:
            unknown = middle
    return shown


_Edges = tuple[NDArray[np.int64], NDArray[np.int64]]


def _edges(excess: Excess, blocks: Blocks) -> _Edges:
    ends = np.concatenate([[0], blocks.ends])
    return np.searchsorted(excess.canary_at, ends), np.searchsorted(excess.stable_at, ends)


def _counts(excess: Excess, allowance_ms: Floats | float, edges: _Edges) -> Counts:
    canary, stable = (np.diff(edge).astype(float) for edge in edges)
    both = (canary > 0) & (stable > 0)
    return Counts(
        canary=canary * both,
        canary_bad=_sums(excess.canary_ms > allowance_ms, edges[0]) * both,
        stable=stable * both,
        stable_bad=_sums(excess.stable_ms > 0, edges[1]) * both,
    )


def _sums(flags: NDArray[np.bool_], edges: NDArray[np.int64]) -> Floats:
    """Flags that are set between each pair of edges."""
    set_at = np.flatnonzero(flags)
    sums: Floats = np.diff(np.searchsorted(set_at, edges)).astype(float)
    return sums
