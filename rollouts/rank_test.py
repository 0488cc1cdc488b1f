"""Does one set of numbers tend to be larger than another? Rank tests, which ask nothing of the shape of the numbers.

Two tests must agree, so the larger of their p-values counts. The Wilcoxon-Mann-Whitney test is exact for small
samples, also with ties, if both sets come from one distribution (Lehmann, "Nonparametrics: statistical methods based
on ranks", 1975, chapter 1). The Brunner-Munzel test holds also when they differ in spread but neither tends to be
larger, in larger samples (Brunner and Munzel, "The nonparametric Behrens-Fisher problem", Biometrical Journal 42,
2000).
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

_EXACT_UP_TO = 40
"""Numbers of both sets together; beyond, the normal approximation is as good."""


def p_larger(first: Floats, second: Floats) -> float:
    """One-sided p-value of "``first`` does not tend to be larger than ``second``", each of two numbers or more."""
    return max(_wilcoxon(first, second), _brunner_munzel(first, second))


def _wilcoxon(first: Floats, second: Floats) -> float:
    ranks = stats.rankdata(np.concatenate([first, second]))
    total = ranks[: len(first)].sum()
    if len(ranks) <= _EXACT_UP_TO:
        doubled = np.rint(2 * ranks).astype(int)  # whole numbers also with ties
        if len(first) <= len(second):
            return _share_of_subsets(doubled, len(first), round(2 * total))
        return _share_of_subsets(
            -doubled + doubled.max(), len(second), int((doubled.max() - doubled)[len(first) :].sum())
        )
    spread = float(((ranks - ranks.mean()) ** 2).sum()) * len(first) * len(second)
    variance = spread / (len(ranks) * (len(ranks) - 1))
    if variance <= 0:
        return 1.0
    return float(stats.norm.sf((total - len(first) * ranks.mean()) / sqrt(variance)))


def _share_of_subsets(doubled_ranks: NDArray[np.int_], size: int, at_least: int) -> float:
    """Of all subsets of this size, the share whose sum is ``at_least`` this, counted exactly."""
    ways = np.zeros((size + 1, int(np.sort(doubled_ranks)[-size:].sum()) + 1))
    ways[0, 0] = 1.0
    for rank in doubled_ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    return float(ways[size, at_least:].sum() / ways[size].sum())


def _placements(first: Floats, second: Floats) -> Floats:
    """For each of ``first`` the share of ``second`` that it is larger than; ties count half (shape: first)."""
    ordered = np.sort(second)
    below, up_to = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    placements: Floats = (below + up_to) / (2 * len(second))
    return placements


def _brunner_munzel(first: Floats, second: Floats) -> float:
    of_first, of_second = _placements(first, second), _placements(second, first)
    estimate = float(of_first.mean())
    a, b = float(of_first.var(ddof=1)) / len(first), float(of_second.var(ddof=1)) / len(second)
    if a + b <= 0:  # not one of them overlaps
        return 0.0 if estimate > 0.5 else 1.0
    degrees = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    return float(stats.t.sf((estimate - 0.5) / sqrt(a + b), degrees))
