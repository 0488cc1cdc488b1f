"""The judge on one recorded series of numbers for each arm, such as CPU seconds or queue lengths.

Harm: the canary is shown to tend to larger numbers than the baseline (smaller ones, for ``decrease``; either, for
``either``), and its mean or its median is off by more than the margin. The probability of harm for an equal canary is
at most 1 %; of two that differ by less than the margin, the estimate decides.

Non-inferior: ranks and means both show that the canary is within the margin. Ranks alone would pass a canary of which
four in ten numbers are a hundredfold; means alone trust the shape of small samples.

A file is looked at as a whole, and at its first half, quarter, … as long as these hold five numbers of each arm; the
error of harm is shared over these looks (union bound), so that ``first_alarm_at`` is honest. The numbers of an arm are
taken as independent of each other: a series sampled so often that neighbours are alike shows harm too easily.
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from decision.quantities import Margin
from evidence.results import Interval, JudgedMetric
from rollouts.ab_estimates import Difference, difference_of_means, sample_of
from rollouts.judge import INTERVAL_ALPHA, NON_INFERIOR_ALPHA
from rollouts.rank_test import p_larger

Floats = NDArray[np.float64]
HarmDirection = Literal["increase", "decrease", "either"]

HARM_ALPHA = 0.01
VALUES_AT_LEAST = 5
_POWER = 0.80
_SIGNS = {"increase": (1.0,), "decrease": (-1.0,), "either": (1.0, -1.0)}


@dataclass(frozen=True)
class Series:
    """Finite numbers of one arm in the order in which they were recorded, with their times or None."""

    values: Floats
    at_s: Floats | None = None


def judge_values(name: str, baseline: Series, canary: Series, direction: HarmDirection, margin: Margin) -> JudgedMetric:
    """Judge a series by its means; with fewer than five numbers in an arm, or all of them alike, nothing is shown."""
    before, after = baseline.values, canary.values
    enough = min(len(before), len(after)) >= VALUES_AT_LEAST
    looks = _looks(baseline, canary) if enough and np.ptp(np.concatenate([before, after])) > 0 else []
    signs = _SIGNS[direction]
    p_values = [_p_harm(before[:m], after[:n], signs, len(looks)) for m, n in looks]
    alarms = [
        n
        for p, (m, n) in zip(p_values, looks, strict=True)
        if p <= HARM_ALPHA and _is_beyond(before[:m], after[:n], signs, margin)
    ]
    within = bool(looks) and all(_is_within(before, after, sign, margin) for sign in signs)
    difference = _difference(before, after) if looks else None
    interval = None if difference is None else difference.interval(2 * INTERVAL_ALPHA)
    base, moved = (float(np.mean(values)) if len(values) else None for values in (before, after))
    return JudgedMetric(
        name=name,
        baseline=base,
        canary=moved,
        difference=None if base is None or moved is None else moved - base,
        interval=None
        if interval is None
        else Interval(low=interval[0], high=interval[1], level=1 - 2 * INTERVAL_ALPHA),
        p_value=min(p_values, default=None),
        verdict="harm" if alarms else "non-inferior" if within else "not-proven",
        margin=None if base is None else margin.allowance(base),
        needs_requests=None if alarms or within else _needs(before, after, signs, margin),
        first_alarm_at=alarms[0] if alarms else None,
    )


def _looks(baseline: Series, canary: Series) -> list[tuple[int, int]]:
    """Numbers of (baseline, canary) seen at each look, the earliest first; the last look is at everything."""
    looks, n = [(len(baseline.values), len(canary.values))], len(canary.values) // 2
    while n >= VALUES_AT_LEAST:
        if baseline.at_s is not None and canary.at_s is not None:
            m = int(np.searchsorted(baseline.at_s, canary.at_s[n - 1], "right"))
        else:
            m = round(len(baseline.values) * n / len(canary.values))
        if m < VALUES_AT_LEAST:
            break
        looks.append((m, n))
        n //= 2
    return looks[::-1]


def _p_harm(before: Floats, after: Floats, signs: tuple[float, ...], looks: int) -> float:
    return min(1.0, looks * len(signs) * min(p_larger(sign * after, sign * before) for sign in signs))


def _is_beyond(before: Floats, after: Floats, signs: tuple[float, ...], margin: Margin) -> bool:
    """Whether mean or median of the canary is worse by more than the margin."""
    return any(
        sign * (float(of(after)) - float(of(before))) > margin.allowance(float(of(before)))
        for of in (np.mean, np.median)
        for sign in signs
        if p_larger(sign * after, sign * before) < 0.5
    )


def _is_within(before: Floats, after: Floats, sign: float, margin: Margin) -> bool:
    limit = before + sign * margin.allowance(float(np.mean(before)))
    difference = _difference(limit, after)
    # No variance at all (both arms constant, and not the same): the ranks decide.
    shown = difference is None or (sign * difference.value < 0 and _p(difference, sign) <= NON_INFERIOR_ALPHA)
    return shown and p_larger(sign * limit, sign * after) <= NON_INFERIOR_ALPHA


def _p(difference: Difference, sign: float) -> float:
    return difference.p_below(0.0) if sign > 0 else difference.p_above(0.0)


def _difference(before: Floats, after: Floats) -> Difference | None:
    control, treatment = sample_of(before), sample_of(after)
    return None if control is None or treatment is None else difference_of_means(control, treatment)


def _needs(before: Floats, after: Floats, signs: tuple[float, ...], margin: Margin) -> int | None:
    """Further numbers of the canary (the baseline growing alike) for "non-inferior", if means and variances stay.

    None if they would never do, or when nothing is known of them.
    """
    if min(len(before), len(after)) < VALUES_AT_LEAST:
        return VALUES_AT_LEAST - len(after) if len(after) < VALUES_AT_LEAST else None
    z = float(stats.norm.ppf(1 - NON_INFERIOR_ALPHA) + stats.norm.ppf(_POWER))
    needed = 0
    for sign in signs:
        difference = _difference(before + sign * margin.allowance(float(np.mean(before))), after)
        if difference is None or sign * difference.value >= 0:
            return None
        needed = max(needed, ceil(len(after) * (z * difference.error / difference.value) ** 2) - len(after))
    return max(1, needed)
