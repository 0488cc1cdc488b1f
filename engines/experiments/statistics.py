"""Two arms compared: by the test that fits the kind of metric, with the interval of the same question.

- Means: Welch's t-test and interval, whose standard error and degrees of freedom are both of unequal variances
  (Welch 1947).
- Proportions: the score test, which is Pearson's chi-square without correction, and Newcombe's interval of the
  difference from Wilson's of each (Newcombe 1998, method 10).
- Several metrics: Holm's adjusted p-values (Holm 1979).

Distributions are those of ``scipy.special``; ``scipy.stats`` says the same and takes 40 MB.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import ndtr, ndtri, stdtr, stdtrit

from engines.experiments.metrics import Kind

ALPHA = 0.05
LEAST_USERS = 30
_LEAST_EXPECTED = 5
_LEAST_SPREAD = _ROUNDING = 1e-12
# Sample ratios are looked at often, and an alarm voids the experiment: rarer than alpha.
RATIO_ALPHA = 0.001


class NotEnough(ValueError):
    """Nothing can be said yet; the text says what is missing."""


@dataclass(frozen=True)
class Group:
    """An arm: how many users, their mean, and the sum of squared deviations from it."""

    users: int
    mean: float
    squares: float


@dataclass(frozen=True)
class Comparison:
    """Treatment minus control, its 95 % interval, the two-sided p-value, and a standardised size (d or h of Cohen)."""

    difference: float
    low: float
    high: float
    p_value: float
    effect_size: float


def compare(kind: Kind, control: Group, treatment: Group) -> Comparison:
    """The comparison that fits the kind of metric. Raises NotEnough."""
    fewest = min(control.users, treatment.users)
    if fewest < LEAST_USERS:
        raise NotEnough(f"{LEAST_USERS} users are needed in each arm, there are {fewest} in the smaller one")
    return (_proportions if kind is Kind.PROPORTION else _means)(control, treatment)


def _means(control: Group, treatment: Group) -> Comparison:
    of_control, of_treatment = (one.squares / (one.users - 1) / one.users for one in (control, treatment))
    squared_error = of_control + of_treatment
    if squared_error <= _LEAST_SPREAD * max(1.0, control.mean**2, treatment.mean**2):
        raise NotEnough("all users of an arm have the same outcome")
    degrees = squared_error**2 / (of_control**2 / (control.users - 1) + of_treatment**2 / (treatment.users - 1))
    difference, error = treatment.mean - control.mean, math.sqrt(squared_error)
    reach = float(stdtrit(degrees, 1 - ALPHA / 2)) * error
    deviation = math.sqrt((control.squares + treatment.squares) / (control.users + treatment.users - 2))
    p_value = 2 * float(stdtr(degrees, -abs(difference) / error))
    return Comparison(difference, difference - reach, difference + reach, p_value, difference / deviation)


def _proportions(control: Group, treatment: Group) -> Comparison:
    users = control.users + treatment.users
    pooled = (control.mean * control.users + treatment.mean * treatment.users) / users
    if min(control.users, treatment.users) * min(pooled, 1 - pooled) < _LEAST_EXPECTED * (1 - _ROUNDING):
        raise NotEnough(f"{_LEAST_EXPECTED} users of either outcome would have to be expected in each arm")
    difference = treatment.mean - control.mean
    error = math.sqrt(pooled * (1 - pooled) * (1 / control.users + 1 / treatment.users))
    low_control, high_control = _wilson(control)
    low_treatment, high_treatment = _wilson(treatment)
    return Comparison(
        difference,
        difference - math.hypot(treatment.mean - low_treatment, high_control - control.mean),
        difference + math.hypot(high_treatment - treatment.mean, control.mean - low_control),
        2 * float(ndtr(-abs(difference) / error)),
        2 * math.asin(math.sqrt(treatment.mean)) - 2 * math.asin(math.sqrt(control.mean)),
    )


def _wilson(group: Group) -> tuple[float, float]:
    z = float(ndtri(1 - ALPHA / 2))
    share, users = group.mean, group.users
    middle = (share + z * z / (2 * users)) / (1 + z * z / users)
    reach = z / (1 + z * z / users) * math.sqrt(share * (1 - share) / users + z * z / (4 * users * users))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values: each may be compared with alpha, and all together are wrong with at most alpha."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_value))
        adjusted[name] = largest
    return adjusted


def sample_ratio_p_value(control: int, treatment: int) -> float:
    """How likely arms of half the users each are at least as unequal as these; 1 without users."""
    users = control + treatment
    return 1.0 if not users else 2 * float(ndtr(-abs(treatment - control) / math.sqrt(users)))
