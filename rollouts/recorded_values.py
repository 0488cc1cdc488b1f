"""The judge on one recorded series of numbers for each arm, such as CPU seconds or queue lengths.

Harm: the canary is shown to be above the baseline by more than the margin (below, for ``decrease``; either of them,
for ``either``). Non-inferior: it is shown to be within the margin. A relative margin multiplies the baseline where no
number is below zero, so that a series of mostly zeros keeps its zeros; else it moves the baseline.

A file is looked at as a whole, and at its first half, quarter, … as long as these hold five numbers of each arm; the
error of harm is shared over these looks (union bound), so that ``first_alarm_at`` is honest. The numbers of an arm are
taken as independent of each other: a series sampled so often that neighbours are alike shows harm too easily.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from decision.quantities import Margin
from evidence.results import Interval, JudgedMetric
from rollouts.judge import INTERVAL_ALPHA, NON_INFERIOR_ALPHA
from rollouts.rank_test import p_larger, shift, shift_interval, superiority

Floats = NDArray[np.float64]
HarmDirection = Literal["increase", "decrease", "either"]

HARM_ALPHA = 0.01
VALUES_AT_LEAST = 5
_POWER_Z = 0.8416


@dataclass(frozen=True)
class Series:
    """Finite numbers of one arm in the order in which they were recorded, with their times or None."""

    values: Floats
    at_s: Floats | None = None


def judge_values(name: str, baseline: Series, canary: Series, direction: HarmDirection, margin: Margin) -> JudgedMetric:
    """Judge a series; with fewer than five numbers in an arm, or all of them alike, nothing is shown."""
    before, after = baseline.values, canary.values
    everything = np.concatenate([before, after])
    if min(len(before), len(after)) < VALUES_AT_LEAST or np.ptp(everything) == 0:
        return _nothing_shown(name, before, after)
    looks = _looks(baseline, canary)
    signs = {"increase": (1.0,), "decrease": (-1.0,), "either": (1.0, -1.0)}[direction]
    shared = len(looks) * len(signs)
    p_values = [
        min(
            1.0,
            shared
            * min(p_larger(sign * after[:n], sign * _moved(before[:m], everything, margin, sign)) for sign in signs),
        )
        for m, n in looks
    ]
    alarms = [n for p, (_, n) in zip(p_values, looks, strict=True) if p <= HARM_ALPHA]
    limits = [(sign, _moved(before, everything, margin, sign)) for sign in signs]
    within = all(p_larger(sign * limit, sign * after) <= NON_INFERIOR_ALPHA for sign, limit in limits)
    interval = shift_interval(after, before, 2 * INTERVAL_ALPHA)
    return JudgedMetric(
        name=name,
        baseline=float(np.median(before)),
        canary=float(np.median(after)),
        difference=shift(after, before),
        interval=None
        if interval is None
        else Interval(low=interval[0], high=interval[1], level=1 - 2 * INTERVAL_ALPHA),
        p_value=min(p_values),
        verdict="harm" if alarms else "non-inferior" if within else "not-proven",
        margin=margin.allowance(float(np.median(before))),
        needs_requests=None if alarms or within else _needs(after, limits),
        first_alarm_at=alarms[0] if alarms else None,
    )


def _nothing_shown(name: str, before: Floats, after: Floats) -> JudgedMetric:
    few = min(len(before), len(after)) < VALUES_AT_LEAST
    return JudgedMetric(
        name=name,
        baseline=float(np.median(before)) if len(before) else None,
        canary=float(np.median(after)) if len(after) else None,
        difference=shift(after, before) if len(before) and len(after) else None,
        interval=None,
        p_value=None,
        verdict="not-proven",
        margin=None,
        needs_requests=max(1, VALUES_AT_LEAST - len(after)) if few else None,
        first_alarm_at=None,
    )


def _looks(baseline: Series, canary: Series) -> list[tuple[int, int]]:
    """Numbers of (baseline, canary) seen at each look, the earliest first."""
    total, n, looks = len(baseline.values), len(canary.values), []
    while n >= VALUES_AT_LEAST:
        if baseline.at_s is not None and canary.at_s is not None and n < len(canary.values):
            m = int(np.searchsorted(baseline.at_s, canary.at_s[n - 1], "right"))
        else:
            m = round(total * n / len(canary.values))
        if m < VALUES_AT_LEAST:
            break
        looks.append((m, n))
        n //= 2
    return looks[::-1]


def _moved(baseline: Floats, everything: Floats, margin: Margin, sign: float) -> Floats:
    """The baseline, moved by the margin to where the canary would be harmful."""
    if margin.absolute is None and margin.relative is not None and everything.min() >= 0:
        return baseline * max(0.0, 1 + sign * margin.relative)
    return baseline + sign * margin.allowance(float(np.median(baseline)))


def _needs(canary: Floats, limits: list[tuple[float, Floats]]) -> int | None:
    """Further numbers of the canary (and as many more of the baseline) for "non-inferior", if all stays as it is.

    Noether, "Sample size determination for some common nonparametric tests", JASA 82, 1987, at a power of 80 %.
    """
    needed = 0
    for sign, limit in limits:
        excess = superiority(sign * limit, sign * canary) - 0.5
        if excess <= 0:
            return None
        share = len(canary) / (len(canary) + len(limit))
        z = float(stats.norm.ppf(1 - NON_INFERIOR_ALPHA)) + _POWER_Z
        total = z**2 / (12 * share * (1 - share) * excess**2)
        needed = max(needed, int(np.ceil(total * share)) - len(canary))
    return max(1, needed)
