"""The numbers behind a verdict on growth: rates with their errors, on blocks, net of a daily cycle.

A rate is always a mean of differences over one lag: whole days where the series is long enough, so that a daily cycle
of any shape cancels. In terms of the increments x between neighbouring blocks it is a weighted sum, and its variance is
taken as V times the sum of the squared weights, V the long-run variance of x. That is exact for a random walk, the
worst of the driftless wanders, and too large, never too small, for noise around a level.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loadtests.series import LOW, PEAK, Series, between, blocks

Array = NDArray[np.float64]
Places = NDArray[np.int64]

DAILY_FROM_HOURS = 48.0
"""From here on every hour of the day was seen twice, and growth is measured over whole days."""

WARM_UP = 0.25
"""The share at the start that is left out."""

PROOF_UNDIMINISHED = 0.9
"""The one-sided confidence with which a saturation is refuted. It is one of several proofs that a leak needs."""

_BLOCK_HOURS = 2.0
_SHORT_BLOCKS = 24
_FEW_DAYS = 3
_JUMPS = 4
_DROP_DEVIATIONS = 5.0
_LONG_RUN_LAGS = (3, 6)
_END_BLOCKS = 3
_RESOLUTION = 1e-6
_DECIMALS_OF_VARIANCE = 15
"""A thousandth of the square of the resolution."""
_SMALLEST, _LARGEST = 1e-150, 1e9
_CONSTANTS = np.geomspace(0.02, 50, 120)
"""Time constants that are tried, in lengths of the series."""


@dataclass(frozen=True)
class Rate:
    """A rate a day, its standard error and the degrees of freedom of that error. Relative to the level."""

    value: float
    error: float
    freedom: float

    def low(self, confidence: float) -> float:
        """The lower bound of one-sided ``confidence``."""
        return self.value - float(stats.t.ppf(confidence, self.freedom)) * self.error

    def high(self, confidence: float) -> float:
        """The upper bound of one-sided ``confidence``."""
        return self.value + float(stats.t.ppf(confidence, self.freedom)) * self.error


@dataclass(frozen=True)
class Growth:
    """What the blocks of a series say about its growth. Rates are shares of the level a day."""

    level: float
    hours: Array
    blocks: Array
    """After the warm-up, as shares of the level."""
    daily: bool
    whole: Rate
    stretches: tuple[Rate, ...]
    """Growth over the whole, the last half and the last third; falls of the level make it no smaller."""
    without_jumps: Rate
    parts_above: Array
    """Growth over each lag, without the largest jumps."""
    ends_at: float
    """Growth over the last lag, without the largest jumps."""
    excluded_constant_hours: float
    """The slowest saturation that is refuted by how little the growth slows down."""
    contrast: Rate
    """Late growth less early growth."""
    apart_hours: float
    """From the middle of the early growth to that of the late growth."""
    drops: tuple[float, ...]
    increments: Array
    """Between neighbouring blocks, net of what recurs daily."""


def steady(value: float) -> float:
    """To nine digits, and to a million-millionth: the last ones depend on the processor's kernels for sums.

    Decisions are made on such values, so that they are the same everywhere.
    """
    return round(float(f"{value:.9g}"), 12) + 0.0


def growth_of(
    series: Series, control: Series | None = None, *, percent: float = LOW, level: float | None = None
) -> Growth | None:
    """Measure the growth of a series, or what it has more than its control; None when there is no steady level.

    Every block counts with its ``percent``-th percentile, or with the highest value of the day before its end (PEAK).
    Rates are relative to ``level``, or else to the series' own. A steady level is a positive one,
    of which no block is a thousand million times as much. The control must have samples
    throughout the span of the series.
    """
    span = series.span
    daily = span >= DAILY_FROM_HOURS
    width = _BLOCK_HOURS if daily else span / _SHORT_BLOCKS
    scale = float(np.median(np.abs(series.values)))
    if not scale > _SMALLEST:
        return None
    at, lows = blocks(series.hours, series.values / scale, width, percent)
    lows = _highest_of_a_day(lows, width) if percent == PEAK else lows
    first = int(np.searchsorted(at - width / 2, series.hours[0] + WARM_UP * span - 1e-9 * width))
    kept = lows[first:]
    lag = round(24 / width) if daily else len(kept) // 3
    level = float(np.percentile(kept[:lag], 10)) if level is None else level / scale
    if not level > 0 or not float(np.abs(lows).max()) < _LARGEST * level:
        return None
    per_day = round(24 / width) if daily else 0
    if control is not None:
        lows = lows - _beside(control, at, width, percent) / scale
        kept = lows[first:]
    raw = np.diff(lows) / level
    x = _without_cycle(raw, per_day, wary=False)[first:]
    days = len(lows) / per_day if daily else np.inf
    inflation = days / (days - 1) if daily else 1.0
    calm = _without_jumps(_without_cycle(raw, per_day, wary=True)[first:])
    held, fallen = _without_falls(x)
    spread, calm_spread = _long_run(x, inflation), _long_run(calm, inflation)
    day = 24 / width
    starts = np.arange(len(x) - lag + 1)
    third = max(1, len(starts) // 3)
    weights = _weights(len(x), lag, starts)
    early, late = (_weights(len(x), lag, part) for part in (starts[:third], starts[-third:]))
    half = starts[at[first + starts] - width / 2 >= series.hours[0] + span / 2]
    far = max(1, int(span / 3 // 24)) * lag if daily else lag
    last = np.arange(len(x) - far + 1)[-_END_BLOCKS:]
    end = _weights(len(x), far, last) * far / (far - _END_BLOCKS + 1)
    parts = np.array([steady(float(calm[s : s + lag].sum()) * day / lag) for s in starts])
    distance = float(starts[-third:].mean() - starts[:third].mean()) * width
    return Growth(
        level=level * scale,
        hours=at[first:],
        blocks=kept / level,
        daily=daily,
        whole=_rate(x, weights, spread, day / lag),
        stretches=(
            _rate(held, weights, spread, day / lag),
            _rate(held, _weights(len(x), lag, half if len(half) else starts[-1:]), spread, day / lag),
            _rate(held, end, spread, day / far),
        ),
        without_jumps=_rate(calm, weights, calm_spread, day / lag),
        parts_above=parts,
        ends_at=float(parts[-_END_BLOCKS:].mean()),
        excluded_constant_hours=_excluded(x, calm, early, late, distance, span, calm_spread),
        contrast=_rate(calm, late - early, calm_spread, day / lag),
        apart_hours=distance,
        drops=tuple(float(at[first + i] + width / 2) for i in fallen),
        increments=x,
    )


def _beside(control: Series, at: Array, width: float, percent: float) -> Array:
    """The control's blocks less their median."""
    edges = np.append(at - width / 2, at[-1] + width / 2)
    lows = between(control.hours, control.values, edges, percent)
    seen = np.isfinite(lows)
    filled: Array = np.interp(at, at[seen], lows[seen])
    filled = _highest_of_a_day(filled, width) if percent == PEAK else filled
    return filled - float(np.median(filled))


def _highest_of_a_day(highest: Array, width: float) -> Array:
    """The highest of each block and those of the 24 hours before its end: what jobs of any hour do not move."""
    count = max(1, round(24 / width))
    padded = np.concatenate([np.full(count - 1, -np.inf), highest])
    result: Array = np.lib.stride_tricks.sliding_window_view(padded, count).max(axis=1)
    return result


def _without_cycle(x: Array, per_day: int, *, wary: bool) -> Array:
    """Take out what recurs at the same hour of the days, made to sum to zero over a day.

    That is the median of each hour's increments. A ``wary`` cycle of three days or fewer takes the one that fits best
    between the hours before and after: two steps that happen to fall on the same hour would otherwise be a cycle, and
    what they rise by would be spread over all hours as steady growth.
    """
    if not per_day:
        return x
    days = -(-len(x) // per_day)
    table = np.append(x, np.full(days * per_day - len(x), np.nan)).reshape(days, per_day)
    profile = np.nanmedian(table, axis=0)
    if wary and days <= _FEW_DAYS:
        between = (np.roll(profile, 1) + np.roll(profile, -1)) / 2
        place = np.nanargmin(np.abs(table - between), axis=0)
        nearest = np.take_along_axis(table, place[None, :], axis=0)[0]
        profile = np.where(np.isfinite(table).sum(axis=0) > 1, nearest, between)
    cleaned: Array = x - np.tile(profile - profile.mean(), days)[: len(x)]
    return cleaned


def _around(x: Array) -> Array:
    """The median of the two neighbours on each side of every increment."""
    padded = np.pad(x, 2, mode="reflect")
    neighbours = np.stack([padded[:-4], padded[1:-3], padded[3:-1], padded[4:]])
    middle: Array = np.median(neighbours, axis=0)
    return middle


def _without_jumps(x: Array) -> Array:
    """The largest rises, as far as they stand out from their neighbours, made like these."""
    around = _around(x)
    top = np.argsort(x - around, kind="stable")[-_JUMPS:]
    calm = x.copy()
    calm[top] = np.minimum(x, around)[top]
    return calm


def _without_falls(x: Array) -> tuple[Array, Places]:
    """Falls that stand out of the noise made like their neighbours, so that they hide no growth; and where they are."""
    around = _around(x)
    apart = x - around
    deviation = 1.4826 * float(np.median(np.abs(apart - np.median(apart)))) + _RESOLUTION
    fallen = apart < -_DROP_DEVIATIONS * deviation
    return np.where(fallen, np.maximum(x, around), x), np.flatnonzero(fallen)


def _long_run(x: Array, inflation: float) -> tuple[float, float]:
    """The long-run variance of x and its degrees of freedom: the largest over sums of three and of six increments."""
    found = []
    for lag in _LONG_RUN_LAGS:
        lag = min(lag, max(1, len(x) // 3))
        sums = np.convolve(x, np.ones(lag), mode="valid") - lag * x.mean()
        variance = float(np.mean(sums * sums)) / lag * len(x) / (len(x) - lag) * inflation
        found.append((round(variance, _DECIMALS_OF_VARIANCE), max(2.0, 1.5 * len(x) / lag)))
    variance, freedom = max(found)
    return variance + _RESOLUTION**2, freedom


def _weights(count: int, lag: int, starts: Places) -> Array:
    """How often each increment is counted in the mean of the differences over ``lag`` that begin at ``starts``."""
    places = np.arange(count)[None, :]
    inside = (places >= starts[:, None]) & (places < starts[:, None] + lag)
    shares: Array = inside.mean(axis=0)
    return shares


def _rate(x: Array, weights: Array, spread: tuple[float, float], per_day: float) -> Rate:
    variance, freedom = spread
    error = float(np.sqrt(variance * (weights @ weights)))
    return Rate(steady(float(weights @ x) * per_day), steady(error * per_day), freedom)


def _excluded(
    x: Array, calm: Array, early: Array, late: Array, distance: float, span: float, spread: tuple[float, float]
) -> float:
    """The longest time constant that is refuted: the late growth is shown to be more than it would have left."""
    slowest = 0.0
    for constant in _CONSTANTS * span:
        weights = late - np.exp(-distance / constant) * early
        if _rate(calm, weights, spread, 1.0).low(PROOF_UNDIMINISHED) <= 0 or steady(float(weights @ x)) <= 0:
            break
        slowest = float(constant)
    return slowest
