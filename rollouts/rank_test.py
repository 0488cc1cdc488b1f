"""Does one set of numbers tend to be larger than another? Rank tests, which ask nothing of the shape of the numbers.

Two tests must agree, so the larger of their p-values counts. The Wilcoxon-Mann-Whitney test is exact for small
samples, also with ties, if both sets come from one distribution (Lehmann, "Nonparametrics: statistical methods based
on ranks", 1975, chapter 1). The Brunner-Munzel test holds also when they differ in spread but neither tends to be
larger, in larger samples (Brunner and Munzel, "The nonparametric Behrens-Fisher problem", Biometrical Journal 42,
2000). The shift is that of Hodges and Lehmann: the median of all differences, with the interval of the Wilcoxon test
(Hollander, Wolfe and Chicken, "Nonparametric statistical methods", 3rd edition 2014, section 4.3).
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

_EXACT_UP_TO = 80


def p_larger(first: Floats, second: Floats) -> float:
    """One-sided p-value of "``first`` does not tend to be larger than ``second``", each of two numbers or more."""
    return max(_wilcoxon(first, second), _brunner_munzel(first, second))


def superiority(first: Floats, second: Floats) -> float:
    """The probability that one of ``first`` is larger than one of ``second``; ties count half."""
    return float(_placements(first, second).mean())


def shift(first: Floats, second: Floats) -> float:
    """The median of all differences first - second (Hodges and Lehmann)."""
    return _difference_at(np.sort(first), np.sort(second), len(first) * len(second) / 2)


def shift_interval(first: Floats, second: Floats, alpha: float) -> tuple[float, float] | None:
    """The two-sided 1 - alpha interval of the shift; None when there are too few numbers for one."""
    n, m = len(first), len(second)
    half = float(stats.norm.ppf(1 - alpha / 2)) * sqrt(n * m * (n + m + 1) / 12)
    below = int(np.floor(n * m / 2 - half))  # differences left out at each end
    if below < 1:
        return None
    ordered_first, ordered_second = np.sort(first), np.sort(second)
    return (
        _difference_at(ordered_first, ordered_second, below - 0.5),
        _difference_at(ordered_first, ordered_second, n * m - below + 0.5),
    )


def _wilcoxon(first: Floats, second: Floats) -> float:
    ranks = stats.rankdata(np.concatenate([first, second]))
    total = ranks[: len(first)].sum()
    if len(ranks) <= _EXACT_UP_TO:
        return _share_of_subsets(np.rint(2 * ranks).astype(int), len(first), round(2 * total))
    spread = float(((ranks - ranks.mean()) ** 2).sum()) * len(first) * len(second)
    variance = spread / (len(ranks) * (len(ranks) - 1))
    if variance <= 0:
        return 1.0
    return float(stats.norm.sf((total - len(first) * ranks.mean()) / sqrt(variance)))


def _share_of_subsets(doubled_ranks: NDArray[np.int_], size: int, at_least: int) -> float:
    """Of all subsets of this size, the share whose sum is ``at_least`` this, counted exactly."""
    ways = np.zeros((size + 1, int(doubled_ranks.sum()) + 1))
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


def _difference_at(first: Floats, second: Floats, count: float) -> float:
    """The smallest difference first - second that ``count`` differences or more do not exceed; both ordered.

    Found by halving the range, so that not all differences need be held at once.
    """
    low, high = float(first[0] - second[-1]), float(first[-1] - second[0])
    for _ in range(64):
        middle = (low + high) / 2
        # first - second <= middle, counted for each of the second
        if float(np.searchsorted(first, second + middle, "right").sum()) >= count:
            high = middle
        else:
            low = middle
    return high
