"""The usual tests as they are usually applied: a leak is a significant rise, at 5 %, of the series as it is."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from benchmarks.leaks.parts import Array
from loadtests.series import blocks

_SEN_POINTS = 144


def least_squares(hours: Array, values: Array) -> bool:
    fit = stats.linregress(hours, values)
    return bool(fit.slope > 0 and fit.pvalue < 0.05)


def mann_kendall(hours: Array, values: Array) -> bool:
    answer = stats.kendalltau(hours, values)
    return bool(answer.statistic > 0 and answer.pvalue < 0.05)


def theil_sen(hours: Array, values: Array) -> bool:
    """On every nth sample: the interval is of all pairs, and 8,640 samples have 37 million."""
    every = max(1, len(hours) // _SEN_POINTS)
    return bool(stats.theilslopes(values[::every], hours[::every], 0.95)[2] > 0)


def careful_sen(hours: Array, values: Array) -> str:
    """Theil and Sen with care: a quarter of warm-up left out, lower envelopes, the interval against the limit."""
    at, lows = blocks(np.sort(hours), values, (hours[-1] - hours[0]) / 72)
    at, lows = at[18:], lows[18:]
    _, _, low, high = stats.theilslopes(lows, at, 0.95)
    limit = 0.05 * float(np.median(lows[:6])) / 24
    return "leaking" if low > limit else "stable" if high < limit else "not-proven"


USUAL: dict[str, Callable[[Array, Array], bool]] = {
    "OLS": least_squares,
    "MK": mann_kendall,
    "Sen": theil_sen,
    "Sen+": lambda hours, values: careful_sen(hours, values) == "leaking",
}
