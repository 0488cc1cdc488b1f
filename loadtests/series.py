"""A sampled series made ready for judging: order, coverage, restarts, blocks. Pure: values in, values out.

Nothing is mended silently: every departure from an ordinary series is a note, in words, that the evidence carries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_GAP_SPACINGS = 2.5
"""A distance of more than so many median spacings is a gap: one lost sample is none, two in a row are."""

_BACKWARD_AT_MOST = 0.01
"""A clock that is set back does so a few times; a larger share of steps backwards is a file that is not in order."""

_BACK_SPACINGS = 5.0
"""A clock is put right by a little. What goes back by more median spacings is the next series in the same file."""

_SAME_TIME_AT_MOST = 0.01
"""The share of samples that may differ from another one of the same time: more are series that were interleaved."""

LOW, HIGH, PEAK = 10.0, 90.0, 100.0
"""The percentiles of a block that are its lower and its upper envelope, and its highest value."""

_RESTART_DROP = 0.2
_RESTART_NEAR_START = 1.1
_RESTART_PIECES = 216
_RESTART_BEFORE = 9
_LATEST_HOUR, _LARGEST_VALUE = 1e9, 1e150


@dataclass(frozen=True)
class Series:
    """Samples in the order of time. ``hours`` rise; ``coverage`` is the share of the span that was sampled.

    ``times`` are those of all rows, also of those without a usable value; ``untimed`` is the share of rows without one.
    """

    hours: Array
    values: Array
    coverage: float
    notes: tuple[str, ...]
    problem: str | None
    times: Array
    untimed: float
    drops: tuple[float, ...] = ()

    @property
    def span(self) -> float:
        """Hours from the first sample to the last."""
        return float(self.hours[-1] - self.hours[0]) if len(self.hours) else 0.0


def make_series(hours: Sequence[float] | Array, values: Sequence[float] | Array) -> Series:
    """Bring samples into one order, say what was wrong with them, and measure the coverage.

    Samples count in the order in which they were taken: where the clock was set back a little, all later times are
    moved forward so that they follow at the usual distance. Rows without a usable number are not covered;
    why one is missing (NaN) is the reader's to say. Raises ValueError when the two sequences differ in length.
    """
    at, series = np.asarray(hours, dtype=float), np.asarray(values, dtype=float)
    if at.shape != series.shape or at.ndim != 1:
        raise ValueError(f"{at.shape} times for {series.shape} values")
    timed = np.abs(at) < _LATEST_HOUR  # false for NaN
    huge = int(np.sum((np.abs(at) >= _LATEST_HOUR) | (np.abs(series) >= _LARGEST_VALUE)))
    notes = [f"{huge} samples are too large to be used and were left out"] if huge else []
    untimed = 1 - float(timed.mean()) if len(at) else 0.0
    at, series = at[timed], series[timed]
    if len(at) > 1 and bool(np.all(np.diff(at) <= 0)) and at[0] > at[-1]:
        at, series = at[::-1], series[::-1]
        notes.append("the samples were given newest first")
    times, clock, problem = _in_order(at, series)
    good = np.abs(series) < _LARGEST_VALUE
    coverage = _coverage(times, int(good.sum()), untimed)
    return Series(times[good], series[good], coverage, (*notes, *clock), problem, times, untimed)


def _in_order(at: Array, values: Array) -> tuple[Array, list[str], str | None]:
    steps = np.diff(at)
    back, same = int(np.sum(steps < 0)), int(np.sum(steps == 0))
    notes = [f"{same} samples have the time of the one before"] if same else []
    differing = int(np.sum((steps == 0) & (values[1:] != values[:-1])))
    if differing > max(1.0, _SAME_TIME_AT_MOST * len(steps)):
        told = f"{differing} samples have the time, but not the value, of the one before: several series in one file?"
        return np.sort(at), notes, told
    if not back:
        return at, notes, None
    if back > max(1.0, _BACKWARD_AT_MOST * len(steps)):
        return np.sort(at), notes, f"the times go back {back} times: the samples are not in order"
    usual = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    if (furthest := -float(steps.min())) > _BACK_SPACINGS * usual:
        return np.sort(at), notes, f"the times go back by {furthest:.3g} h at once: several series in one file?"
    moved = np.where(steps < 0, usual - steps, 0.0)
    notes.append(f"the clock went back {back} times, by {-steps[steps < 0].sum():.2f} h in all")
    return at + np.concatenate([[0.0], np.cumsum(moved)]), notes, None


def _coverage(at: Array, usable: int, untimed: float) -> float:
    """The share of the span in which the rows ``at`` were taken, times the share of all rows that are usable."""
    if len(at) < 3 or at[-1] <= at[0]:
        return 0.0
    steps = np.diff(at)
    usual = float(np.median(steps[steps > 0]))
    gaps = steps[steps > _GAP_SPACINGS * usual]
    taken = max(0.0, 1 - float(np.sum(gaps - usual)) / float(at[-1] - at[0]))
    return taken * usable / len(at) * (1 - untimed)


def longest_piece(series: Series) -> Series:
    """The longest piece between restarts: drops by a fifth or more, down to about the level of the start.

    A restart resets the age of every leak. The drop is seen in the 10th percentiles of 216ths of the span (20 minutes
    of 72 hours), and must be below all of the nine before it: what rose and fell within three hours was a job.
    """
    at, lows = blocks(series.hours, series.values, series.span / _RESTART_PIECES) if series.span > 0 else _NOTHING
    if len(lows) < 12:
        return series
    start = float(np.median(lows[:3]))
    before = np.lib.stride_tricks.sliding_window_view(lows[:-2], _RESTART_BEFORE).min(axis=1)
    after = lows[_RESTART_BEFORE + 1 :]
    fell = (after < (1 - _RESTART_DROP) * before) & (after <= _RESTART_NEAR_START * start)
    drops = [float(at[i + _RESTART_BEFORE]) for i in np.flatnonzero(fell) if not (i > 0 and fell[i - 1])]
    if not drops:
        return series
    edges = [-np.inf, *drops, np.inf]
    width = series.span / _RESTART_PIECES
    pieces = [(series.hours > a + width) & (series.hours < b - width) for a, b in pairwise(edges)]
    kept = max(pieces, key=lambda p: float(np.ptp(series.hours[p])) if np.any(p) else 0.0)
    note = f"it fell to the level of the start {len(drops)} times, as in a restart; the longest piece is judged"
    hours = series.hours[kept]
    times = series.times[(series.times >= hours[0]) & (series.times <= hours[-1])] if len(hours) else hours
    return replace(
        series,
        hours=hours,
        values=series.values[kept],
        coverage=_coverage(times, len(hours), series.untimed),
        notes=(*series.notes, note),
        times=times,
        drops=tuple(drops),
    )


_NOTHING: tuple[Array, Array] = (np.empty(0), np.empty(0))


def blocks(hours: Array, values: Array, width: float, percent: float = LOW) -> tuple[Array, Array]:
    """The middle and a percentile of each whole block of ``width`` hours, counted back from the last sample.

    The 10th is the lower envelope: it does not see the saw-tooth of a garbage collector, nor a job that fills less
    than nine tenths of the block. Blocks without samples are put on the line between their neighbours.
    """
    count = int((hours[-1] - hours[0]) / width + 1e-6)
    edges = hours[-1] - width * np.arange(count, -1, -1)
    found = between(hours, values, edges, percent)
    middle = (edges[:-1] + edges[1:]) / 2
    seen = np.isfinite(found)
    return middle, np.interp(middle, middle[seen], found[seen]) if seen.any() else found[:0]


def between(hours: Array, values: Array, edges: Array, percent: float) -> Array:
    """The percentile between each pair of edges, NaN where there is no sample."""
    ends = np.searchsorted(hours, edges, side="right")
    ends[0] = np.searchsorted(hours, edges[0] - 1e-9 * (edges[-1] - edges[0]), side="left")
    return np.array([_percentile(values[a:b], percent) for a, b in pairwise(ends)])


def _percentile(values: Array, percent: float) -> float:
    if not len(values):
        return float("nan")
    place = percent / 100 * (len(values) - 1)
    below = int(place)
    if below + 1 >= len(values):
        return float(values[0]) if len(values) == 1 else float(np.max(values))
    low, high = np.partition(values, (below, below + 1))[below : below + 2]
    return float(low + (place - below) * (high - low))
