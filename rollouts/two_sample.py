"""Anytime-valid evidence about two Bernoulli arms that are observed side by side.

Requests arrive in time order; each belongs to the canary (rate p_c) or to stable (rate p_s) of some unwanted outcome.
They are cut into blocks with at least one request of each arm; where a block ends depends on the arms alone, never on
outcomes. With n_c, n_s requests in a block, an alternative (a, b) for (p_c, p_s) chosen from *earlier* blocks, and
(a0, b0) its Kullback-Leibler projection on the null's boundary p_c = p_s + delta,

    S = prod over canary requests  p_a(x) / p_a0(x)  *  prod over stable requests  p_b(x) / p_b0(x)

has expectation at most 1 under the null (Turner, Ly and Gruenwald, "Generic E-variables for exact sequential k-sample
tests that allow for optional stopping", 2021; for linear boundaries Turner and Gruenwald, "Exact anytime-valid
confidence intervals for contingency tables and beyond", 2023). In short: with u = (a - a0) / (a0 (1 - a0)) and v
likewise for b, E[S] = prod (1 + u (p_c - a0)) prod (1 + v (p_s - b0)) <= exp(n_c u (p_c - a0) + n_s v (p_s - b0)),
and at the projection n_c u = -n_s v, so that the exponent is n_c u (p_c - p_s - delta), never positive under the null.
p_c and p_s may change from request to request: the bound then speaks of the block's mean rates, hence load or an
outage that both arms share cancels. The product over blocks is a supermartingale from 1, a mixture of such products
(one per betting strategy) too, and by Ville's inequality it ever exceeds 1/alpha with probability at most alpha:
one may look after every request and stop when one likes.

A canary that turns bad late must not hide behind its good past: the evidence for "worse" is a further mixture over the
block at which betting starts (half of the stake on the first, the rest on later ones with summable weights), which is
again such a process.

What a non-inferiority test with margin delta can reach: n_c clean requests of the canary and none failed of stable
give at most -n_c ln(1 - delta) nats, e.g. 5.01 for 1,000 requests and 0.5 percentage points.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Claim = Literal["worse", "within"]
"""worse: p_c > p_s + delta is to be shown; within: p_c < p_s + delta is to be shown."""

_GROWTH = 20
"""A block holds one twentieth of the canary requests before it: some 250 blocks for a million requests."""
SHORT_BLOCK = 200
"""Canary requests in a block where a late change must be seen soon."""
_TINY = 1e-9
_PRIOR_REQUESTS = 2.0
_PRIOR_RATE = 0.01

# Betting strategies, each with its share of the mixture. Half of the stake bets on "within" that the canary fails
# almost never, because that is what a good release does and what must be provable from about 1,000 requests.
_WORSE_STEPS = (0.02, 0.06, 0.2, 0.6)
_WORSE_RATIOS = (1.3, 2.0)
_WORSE_WEIGHTS = np.full(len(_WORSE_STEPS) + len(_WORSE_RATIOS) + 1, 1 / 7)
_WITHIN_FRACTIONS = (0.01, 0.1, 0.3, 0.6, 0.85)
_WITHIN_WEIGHTS = np.array([0.45, 0.1, 0.1, 0.1, 0.1, 0.15])


@dataclass(frozen=True)
class Blocks:
    """``ends``: exclusive end of each block in request order; ``canary`` and ``stable``: requests of each arm in it."""

    ends: NDArray[np.int64]
    canary: Floats
    stable: Floats


@dataclass(frozen=True)
class Counts:
    """Requests and unwanted outcomes of each arm, per block (shape: blocks)."""

    canary: Floats
    canary_bad: Floats
    stable: Floats
    stable_bad: Floats


def cut_into_blocks(is_canary: Bools, most: int | None = None) -> Blocks:
    """Blocks over requests in time order, of at most ``most`` canary requests (more only where stable ones lack).

    A last block that is not complete is left for later.
    """
    longest = len(is_canary) if most is None else most
    canary_at, stable_at = np.flatnonzero(is_canary), np.flatnonzero(~is_canary)
    ends, canary_until = [0], [0]
    while True:
        canaries = canary_until[-1]
        stables = ends[-1] - canaries
        last_canary = canaries + min(longest, max(1, canaries // _GROWTH)) - 1
        if last_canary >= len(canary_at) or stables >= len(stable_at):
            break
        end = int(max(canary_at[last_canary], stable_at[stables])) + 1
        ends.append(end)
        canary_until.append(int(canary_at.searchsorted(end)))
    per_block = np.diff(canary_until)
    return Blocks(
        np.array(ends[1:], dtype=np.int64), per_block.astype(float), (np.diff(ends) - per_block).astype(float)
    )


def count_bad(blocks: Blocks, is_canary: Bools, bad: Bools) -> Counts:
    """Count the unwanted outcomes of each arm in each block."""
    edges = np.concatenate([[0], blocks.ends])
    bad_at = np.flatnonzero(bad)
    all_bad = np.diff(np.searchsorted(bad_at, edges))
    canary_bad = np.diff(np.searchsorted(bad_at[is_canary[bad_at]], edges))
    return Counts(blocks.canary, canary_bad.astype(float), blocks.stable, (all_bad - canary_bad).astype(float))


def log_evidence(claim: Claim, counts: Counts, delta: float) -> Floats:
    """The logarithm of the e-process for the claim after each block (shape: blocks)."""
    if not len(counts.canary):
        return np.zeros(0)
    stable_rate = _rate_before(counts.stable_bad, counts.stable, np.full(len(counts.stable), _PRIOR_RATE))
    canary_rate = _rate_before(counts.canary_bad, counts.canary, stable_rate)
    boundary = np.clip(stable_rate + delta, _TINY, 1 - _TINY)
    canary_bets, weights = _bets(claim, boundary, canary_rate)
    stable_bets = np.broadcast_to(stable_rate, canary_bets.shape)
    canary_null, stable_null = _project(counts, canary_bets, stable_bets, delta)
    on_claimed_side = canary_bets > stable_bets + delta if claim == "worse" else canary_bets < stable_bets + delta
    gains = _log_ratio(counts.canary_bad, counts.canary, canary_bets, canary_null)
    gains += _log_ratio(counts.stable_bad, counts.stable, stable_bets, stable_null)
    return _mixture(claim, np.where(on_claimed_side, gains, 0.0), weights)


def log_evidence_of_limit(claim: Claim, bad: Floats, requests: Floats, limit: float) -> Floats:
    """As ``log_evidence`` for one arm against a fixed limit: its rate is above (worse) or below (within) it."""
    if not len(requests):
        return np.zeros(0)
    boundary = np.full(len(requests), float(np.clip(limit, _TINY, 1 - _TINY)))
    bets, weights = _bets(claim, boundary, _rate_before(bad, requests, boundary))
    on_claimed_side = bets > boundary if claim == "worse" else bets < boundary
    gains = _log_ratio(bad, requests, bets, boundary)
    return _mixture(claim, np.where(on_claimed_side, gains, 0.0), weights)


def bound_of_difference(claim: Claim, counts: Counts, alpha: float) -> float | None:
    """The time-uniform 1 - alpha bound of p_c - p_s: upper for ``within``, lower for ``worse``; None without data."""
    if not len(counts.canary):
        return None
    shown, unknown = (1.0, -1.0) if claim == "within" else (-1.0, 1.0)
    for _ in range(13):
        middle = (shown + unknown) / 2
        if log_evidence(claim, counts, middle)[-1] >= -np.log(alpha):
            shown = middle
        else:
            unknown = middle
    return shown


def growth_per_canary_request(canary_rate: float, stable_rate: float, stable_per_canary: float, delta: float) -> float:
    """Nats of evidence that one more canary request (and its share of stable ones) brings at these true rates."""
    counts = Counts(np.ones(1), np.zeros(1), np.full(1, stable_per_canary), np.zeros(1))
    canary, stable = np.full((1, 1), canary_rate), np.full((1, 1), stable_rate)
    canary_null, stable_null = _project(counts, canary, stable, delta)
    return float(_divergence(canary, canary_null)[0, 0] + stable_per_canary * _divergence(stable, stable_null)[0, 0])


def growth_of_limit(rate: float, limit: float) -> float:
    """Nats of evidence against a fixed limit that one more request brings at this true rate."""
    return float(_divergence(np.array([rate]), np.array([limit]))[0])


def _rate_before(bad: Floats, requests: Floats, prior: Floats) -> Floats:
    """The rate estimated from the blocks before each block, drawn to ``prior``."""
    bad_before = np.cumsum(bad) - bad
    before = np.cumsum(requests) - requests
    rate: Floats = np.clip((bad_before + _PRIOR_REQUESTS * prior) / (before + _PRIOR_REQUESTS), _TINY, 1 - _TINY)
    return rate


def _bets(claim: Claim, boundary: Floats, canary_rate: Floats) -> tuple[Floats, Floats]:
    """Alternatives for the canary's rate, one row per strategy (shape: strategies, blocks), and their weights."""
    if claim == "worse":
        rows = [boundary + (1 - boundary) * step for step in _WORSE_STEPS]
        rows += [boundary * ratio for ratio in _WORSE_RATIOS]
        weights = _WORSE_WEIGHTS
    else:
        rows = [boundary * fraction for fraction in _WITHIN_FRACTIONS]
        weights = _WITHIN_WEIGHTS
    return np.clip(np.stack([*rows, canary_rate]), _TINY, 1 - _TINY), weights


def _project(counts: Counts, canary: Floats, stable: Floats, delta: float) -> tuple[Floats, Floats]:
    """The point of p_c = p_s + delta with the least n_c KL(canary, .) + n_s KL(stable, .), per strategy and block."""
    if delta == 0:
        pooled = (counts.canary * canary + counts.stable * stable) / np.maximum(counts.canary + counts.stable, _TINY)
        pooled = np.clip(pooled, _TINY, 1 - _TINY)  # also where a block counts for nothing
        return pooled, pooled
    least, most = max(0.0, -delta) + _TINY, min(1.0, 1 - delta) - _TINY
    low = np.clip(np.minimum(canary - delta, stable), least, most)
    high = np.clip(np.maximum(canary - delta, stable), least, most)
    for _ in range(36):
        middle = (low + high) / 2
        moved = middle + delta
        slope = counts.canary * (moved - canary) / (moved * (1 - moved))
        slope += counts.stable * (middle - stable) / (middle * (1 - middle))
        above = slope > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2 + delta, (low + high) / 2


def _log_ratio(bad: Floats, requests: Floats, bet: Floats, null: Floats) -> Floats:
    ratio: Floats = bad * np.log(bet / null) + (requests - bad) * (np.log1p(-bet) - np.log1p(-null))
    return ratio


def _divergence(rate: Floats, null: Floats) -> Floats:
    rate, null = np.clip(rate, _TINY, 1 - _TINY), np.clip(null, _TINY, 1 - _TINY)
    value: Floats = rate * np.log(rate / null) + (1 - rate) * (np.log1p(-rate) - np.log1p(-null))
    return value


def _mixture(claim: Claim, gains: Floats, weights: Floats) -> Floats:
    paths = np.cumsum(gains, axis=1)
    if claim == "worse":
        paths = _with_late_starts(paths)
    mixed: Floats = np.logaddexp.reduce(paths + np.log(weights)[:, None], axis=0)
    return mixed


def _with_late_starts(paths: Floats) -> Floats:
    """Mix each path (shape: strategies, blocks) with its copies that start to bet at later blocks."""
    start = np.arange(paths.shape[1], dtype=float)
    stake = 0.5 / ((start + 1) * (start + 2))  # sums to one half over all blocks
    stake[0] += 0.5
    before = np.concatenate([np.zeros((len(paths), 1)), paths[:, :-1]], axis=1)
    started = paths + np.logaddexp.accumulate(np.log(stake) - before, axis=1)
    waiting = np.log(0.5 / (start + 2))
    mixed: Floats = np.logaddexp(started, waiting)
    return mixed
