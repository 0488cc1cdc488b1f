"""Whether a sampled series grows: stable, leaking, or not proven. Pure: values in, a verdict out.

The two answers need different proofs (docs/statistics.md, "Soaks"). *Stable* bounds all growth, steps included, over
the whole, the last half and the last third. *Leaking* asks for growth that cannot be anything else: above the limit
in nearly every part, without its largest jumps, more than a wander makes, not slowing down as a warm-up does, and not
better explained by steps, a saturation or a weekly cycle. What is neither is not proven.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evidence.soak_result import Explanation, Trend
from loadtests.growth import PROOF_UNDIMINISHED, WARM_UP, Growth, growth_of, steady
from loadtests.series import HIGH, PEAK, Series, longest_piece, make_series
from loadtests.trend_models import AS_WELL, explain

Numbers = Sequence[float] | NDArray[np.float64]
Samples = tuple[Numbers, Numbers]
"""Hours and values."""

COVERAGE_AT_LEAST = 0.95
"""The default share of the span in which samples must have been taken."""

POINTS_AT_LEAST = 24
"""One for each block of a short series. A long one needs one an hour: two for each of its blocks."""

STABLE_FROM_HOURS = 48.0
"""Two whole days: before that, no growth is told from a daily cycle, and nothing is cleared."""

SLOWEST_WARM_UP_HOURS = 6.0
"""A warm-up of up to this time constant is plausible in any series, however short."""

LARGEST_WARM_UP = 1.5
"""In a series shorter than that, a warm-up that would have to grow to so many times the level is not plausible."""

GARBAGE = 0.5
"""In such a short series, a rise of up to so many times the level may be garbage that was not collected yet."""

SLOWEST_SPANS = 1.25
"""So many lengths of the series: what would end within that time constant is a warm-up yet. It takes in logarithmic
growth, and growth with the root of time (docs/statistics.md)."""

CYCLE_SHARE = 0.1
"""A daily or weekly cycle of up to this share of the level, above and below it, is plausible unseen."""

_PROOF_OF_GROWTH = 0.99
_PROOF_OF_BOUND = 0.995
_LIKELY = 0.9
"""Enough doubt not to clear, beside a control that grows as much."""
_PARTS_ABOVE = 0.9
_LONGEST_HOURS = 24.0 * 90
_CREDIT = 0.1
"""The share of the limit up to which a rise or fall of the control itself does not matter."""
_COMMON = 0.6
"""The correlation of the increments from which on candidate and control are taken to move together."""
_WEEK_DAYS = 7.0


def judge_trend(
    hours: Numbers,
    values: Numbers,
    *,
    limit_per_day: float,
    control: Samples | None = None,
    coverage_at_least: float = COVERAGE_AT_LEAST,
) -> Trend:
    """Judge the growth of ``values`` at ``hours`` (since the start) against a limit relative to their level.

    ``control`` is the series of an unchanged system under the same load: growth that it shows too is no leak. Values
    that are no numbers, a level that is not positive, gaps, a short span or few samples are never stable.
    """
    piece = longest_piece(make_series(hours, values))
    unusable = _unusable(piece, coverage_at_least)
    if unusable is not None:
        return _not_judged(unusable, piece)
    growth = growth_of(piece)
    if growth is None:
        return _not_judged("there is no steady positive level after warm-up", piece)
    alone = _judge(piece, growth, limit_per_day)
    if control is None:
        return alone
    return _beside(alone, growth, piece, make_series(*control), limit_per_day)


def _judge(piece: Series, growth: Growth, limit: float, control: Series | None = None) -> Trend:
    """The verdict on the growth of a piece, or on the growth that it has more than its control."""
    slowest_h = max(SLOWEST_WARM_UP_HOURS, SLOWEST_SPANS * piece.span)
    rivals = explain(growth.hours, growth.blocks, daily=growth.daily, slowest_h=slowest_h)
    doubts = _doubts(growth, rivals, limit, piece.span)
    bound = _bound(growth) if growth.daily else None
    shown, needs_hours = growth, None
    if not doubts:
        verdict, why = "leaking", "growth above the limit is shown, in every part, and nothing else explains it"
    elif bound is not None and bound < limit:
        shown, bound, open_why = _peaks(piece, growth, limit, control, bound)
        verdict = "stable" if open_why is None else "not-proven"
        why = open_why or f"growth is shown to be below the limit: at most {bound:.2%} a day"
    else:
        verdict, why = "not-proven", _why_open(growth, rivals, limit, bound, doubts)
        needs_hours = _needs_hours(growth, rivals[0], limit, piece.span)
    whole, best = shown.whole, rivals[0]
    low, high = whole.low(0.975), whole.high(0.975)
    told = growth.daily or verdict == "leaking"
    return Trend(
        verdict=verdict,
        slope_per_hour=_digits(whole.value * growth.level / 24),
        interval_per_hour=(_digits(low * growth.level / 24), _digits(high * growth.level / 24)),
        growth_per_day=steady(whole.value) if told else None,
        growth_per_day_upper=steady(high) if told else None,
        growth_per_day_bound=None if bound is None else steady(bound),
        smallest_visible_per_day=steady(_smallest_visible(growth, limit, piece.span)),
        coverage=steady(piece.coverage),
        change_points=sorted({round(hour, 2) for hour in (*piece.drops, *best.at_hours)}),
        explanations=rivals,
        needs_hours=needs_hours,
        why=why,
        notes=list(piece.notes),
    )


def _digits(value: float) -> float:
    """Nine digits, in any unit."""
    return float(f"{value:.9g}")


def _bound(growth: Growth) -> float:
    return max(rate.high(_PROOF_OF_BOUND) for rate in growth.stretches)


def _peaks(
    piece: Series, growth: Growth, limit: float, control: Series | None, bound: float
) -> tuple[Growth, float, str | None]:
    """Whether what the lower envelope does not see clears the piece too: which growth, its bound, why it does not.

    The 90th percentiles must not be shown to grow above the limit, and either their growth or that of the highest
    value of a day must be bounded by it: jobs move the one, a rare burst the other.
    """
    high, peak = (growth_of(piece, control, percent=percent, level=growth.level) for percent in (HIGH, PEAK))
    if high is None or peak is None:
        return growth, bound, "the peaks have no steady level"
    above = max(bound, min(_bound(high), _bound(peak)))
    if (grown := max(rate.low(_PROOF_OF_GROWTH) for rate in high.stretches)) > limit:
        told = f"the lower envelope is level, but the upper one is shown to grow by more than {grown:.2%} a day"
        return high, max(bound, _bound(high)), told
    if above >= limit:
        return growth, above, f"the lower envelope is level, but the upper one may grow by {above:.2%} a day"
    return growth, above, None


def _unusable(series: Series, coverage_at_least: float) -> str | None:
    if series.problem is not None:
        return series.problem
    if len(series.hours) < max(POINTS_AT_LEAST, series.span) or series.span <= 0:
        return f"{series.span:.2f} h with {len(series.hours)} samples cannot tell a leak from warm-up"
    if series.coverage < coverage_at_least:
        return f"samples cover {series.coverage:.1%} of the time, at least {coverage_at_least:.0%} are needed"
    return None


def _doubts(growth: Growth, rivals: Sequence[Explanation], limit: float, span: float) -> list[str]:
    """Why the growth is not called a leak; empty when it is one."""
    doubts = []
    low = growth.without_jumps.low(_PROOF_OF_GROWTH)
    unseen = 0.0 if growth.daily else CYCLE_SHARE * 2 * np.pi
    if low <= max(limit, unseen):
        doubts.append("its growth is not shown to be above the limit" if growth.daily else "a daily cycle may rise so")
    if np.mean(growth.parts_above > limit) < _PARTS_ABOVE or growth.ends_at <= limit:
        doubts.append("it does not grow in every part")
    slowest = growth.excluded_constant_hours
    too_large = span < SLOWEST_WARM_UP_HOURS and low / 24 * slowest > LARGEST_WARM_UP
    if slowest < max(SLOWEST_WARM_UP_HOURS, SLOWEST_SPANS * span) and not too_large:
        doubts.append("it may be a slow warm-up: the growth is not shown to go on undiminished")
    if span < SLOWEST_WARM_UP_HOURS and low / 24 * (1 - WARM_UP) * span <= GARBAGE:
        doubts.append("it may be garbage that was not collected yet")
    by_name = {rival.name: rival for rival in rivals}
    line, best = by_name["line"], rivals[0]
    if not line.fits_as_well and best.growth_per_day_left <= limit:
        doubts.append(f"{_named(best)} explains it better than steady growth")
    weekly = by_name.get("weekly cycle")
    plausible = CYCLE_SHARE * 2 * np.pi / _WEEK_DAYS
    if weekly is not None and low <= plausible and weekly.bic_above_best <= line.bic_above_best + AS_WELL:
        doubts.append("a weekly cycle fits as well")
    return doubts


def _why_open(
    growth: Growth, rivals: Sequence[Explanation], limit: float, bound: float | None, doubts: Sequence[str]
) -> str:
    if bound is None:
        return f"less than {STABLE_FROM_HOURS:.0f} h clear nothing; {doubts[0]}"
    grown, best = f"growth may be {bound:.2%} a day", rivals[0]
    if best.name not in ("no growth", "line"):
        return f"{grown}; {_named(best)} explains the series best"
    return f"{grown}; not called a leak: {doubts[0]}" if growth.whole.value > limit else grown


def _named(rival: Explanation) -> str:
    if rival.at_hours:
        return f"{rival.name} at {', '.join(f'{hour:.0f}' for hour in rival.at_hours)} h"
    if rival.time_constant_hours is not None:
        return f"a saturation within {rival.time_constant_hours:.3g} h"
    return rival.name


def _smallest_visible(growth: Growth, limit: float, span: float) -> float:
    """The smallest growth that would have been shown in nineteen of twenty series with such noise."""
    calm = growth.without_jumps
    power = float(stats.t.ppf(0.95, calm.freedom))
    shown = float(stats.t.ppf(_PROOF_OF_GROWTH, calm.freedom))
    unseen = limit if growth.daily else max(limit, CYCLE_SHARE * 2 * np.pi)
    kept = float(np.exp(-growth.apart_hours / max(SLOWEST_WARM_UP_HOURS, SLOWEST_SPANS * span)))
    refuted = float(stats.t.ppf(PROOF_UNDIMINISHED, calm.freedom))
    undiminished = (refuted + power) * growth.contrast.error / (1 - kept)
    seen = max(unseen + (shown + power) * calm.error, undiminished)
    if span >= SLOWEST_WARM_UP_HOURS:
        return seen
    return max(seen, GARBAGE * 24 / ((1 - WARM_UP) * span))


def _needs_hours(growth: Growth, best: Explanation, limit: float, span: float) -> float | None:
    """More hours until the bound falls below the limit, or the growth is shown, if it goes on as it was.

    Errors of a rate shrink with the root of the span; a rise that steps explain is spread over more time.
    """
    longest = np.linspace(1.05, max(_LONGEST_HOURS / span, 1.05), 2000)
    whole = growth.whole
    if growth.daily:
        top = max(growth.stretches, key=lambda rate: rate.high(_PROOF_OF_BOUND))
        grown = top.value / longest if best.at_hours or best.time_constant_hours else np.full_like(longest, top.value)
        margin = (top.high(_PROOF_OF_BOUND) - top.value) / np.sqrt(longest)
        shown = (whole.value - whole.low(_PROOF_OF_GROWTH)) / np.sqrt(longest)
        enough = (grown + margin < limit) | (whole.value - shown > limit)
        places = np.flatnonzero(enough)
        return round(float((longest[places[0]] - 1) * span), 1) if len(places) else None
    return round(max(STABLE_FROM_HOURS - span, 0.0), 2) or None


def _not_judged(why: str, series: Series) -> Trend:
    return Trend(
        verdict="not-proven",
        slope_per_hour=None,
        interval_per_hour=None,
        growth_per_day=None,
        growth_per_day_upper=None,
        growth_per_day_bound=None,
        smallest_visible_per_day=None,
        coverage=steady(series.coverage),
        change_points=[round(hour, 2) for hour in series.drops],
        explanations=[],
        needs_hours=round(max(STABLE_FROM_HOURS - series.span, 0.0), 2) or None,
        why=why,
        notes=list(series.notes),
    )


def _beside(alone: Trend, growth: Growth, piece: Series, control: Series, limit: float) -> Trend:
    """The verdict when the control is known.

    What is shown to grow above the limit is not cleared by a control that grows as much: it is open, with its own
    growth. A control that rises by itself clears nothing, and one that falls by itself makes no leak.
    """
    inside = (control.hours >= piece.hours[0]) & (control.hours <= piece.hours[-1])
    shared = replace(control, hours=control.hours[inside], values=control.values[inside])
    covered = shared.span >= COVERAGE_AT_LEAST * piece.span and control.coverage >= COVERAGE_AT_LEAST
    of_control = growth_of(shared) if covered and control.problem is None else None
    difference = growth_of(piece, shared) if of_control is not None else None
    if of_control is None or difference is None:
        return _noted(alone, "the control does not cover the time, or is unusable, and was not used")
    apart = _judge(piece, difference, limit, shared)
    told = apart.model_copy(update={"why": f"compared with the control: {apart.why}"})
    share = of_control.level / growth.level
    by_itself = f"by itself it grows by {growth.whole.value:.2%} a day"
    if apart.verdict == "stable" and alone.verdict != "stable":
        if not _shares(growth, of_control, limit / share):
            return _noted(alone, "the control rises by itself")
        if alone.verdict == "leaking" or _grows(growth, limit):
            return _left_open(alone, f"it grows as much as the control does: {growth.whole.value:.1%} a day")
        return _noted(told, by_itself)
    if alone.verdict == "leaking" and apart.verdict == "not-proven" and _lasting(of_control):
        return _left_open(alone, f"the control grows too, and {by_itself}; {told.why}")
    grows = growth.whole.value > limit and growth.ends_at > limit
    if alone.verdict == "not-proven" and apart.verdict == "leaking" and grows:
        falls = of_control.whole.value * share < -_CREDIT * limit
        return _noted(alone, "the control falls by itself") if falls else told
    return _noted(alone, f"what it has more than the control is {apart.verdict}")


def _shares(growth: Growth, control: Growth, limit: float) -> bool:
    """Whether what the control takes away is common to both: lasting growth, or steps and wander at the same times."""
    if max(rate.value for rate in control.stretches) <= _CREDIT * limit or _lasting(control):
        return True
    x, y = growth.increments - growth.increments.mean(), control.increments - control.increments.mean()
    length = float(np.sqrt((x @ x) * (y @ y)))
    return len(x) == len(y) and length > 0 and float(x @ y) / length >= _COMMON


def _lasting(growth: Growth) -> bool:
    return growth.without_jumps.low(_PROOF_OF_GROWTH) > 0


def _grows(growth: Growth, limit: float) -> bool:
    """Whether growth is above the limit as measured and likely to last, or any growth is shown to be above it."""
    whole = growth.whole
    return (whole.value > limit and growth.without_jumps.low(_LIKELY) > 0) or whole.low(_PROOF_OF_GROWTH) > limit


def _left_open(alone: Trend, why: str) -> Trend:
    return alone.model_copy(update={"verdict": "not-proven", "why": why})


def _noted(trend: Trend, note: str) -> Trend:
    return trend.model_copy(update={"notes": [*trend.notes, note]})
