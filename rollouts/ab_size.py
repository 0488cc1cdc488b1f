"""How many units an A/B test needs, and how long it takes, computed before it starts.

The test is two-sided at alpha, or a guardrail's one-sided one at alpha / 2 with no true difference. With v the variance
between units of each arm and s the treatment's share of units, the two arms together need

    N = (z_(1 - alpha/2) + z_power)^2 (v_control / (1 - s) + v_treatment / s) / difference^2

(Chow, Shao, Wang and Lokhnygina, "Sample size calculations in clinical research", chapters 3 and 4). For means the
number is then raised until the power of the t-test itself, from the noncentral t distribution, is reached (Cohen,
"Statistical power analysis for the behavioral sciences", 1988, chapter 2). A covariate is left out of the account: it
can only make the test need fewer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt

from scipy import stats

from decision.ab_metrics import AbAnalysis, AbMetric


@dataclass(frozen=True)
class Size:
    """Units of each arm, and whole days until they were seen (None when the plan does not say how many come a day)."""

    control: int
    treatment: int
    days: int | None = None

    @property
    def units(self) -> int:
        """Units of both arms."""
        return self.control + self.treatment


def planned_size(metrics: Mapping[str, AbMetric], analysis: AbAnalysis, share: float) -> Size | None:
    """The units that the most demanding primary metric or guardrail needs; None when none says what is expected.

    Alpha is divided by the number of primary metrics: that is what Holm's correction asks of the first of them.
    """
    primaries = sum(metric.role == "primary" for metric in metrics.values())
    sizes = [
        size
        for metric in metrics.values()
        if metric.role != "secondary"
        and (size := size_of(metric, analysis.alpha / (primaries if metric.role == "primary" else 1), analysis, share))
    ]
    if not sizes:
        return None
    most = max(sizes, key=lambda size: size.units)
    days = None if analysis.users_per_day is None else ceil(most.units / analysis.users_per_day)
    return Size(most.control, most.treatment, days)


def size_of(metric: AbMetric, alpha: float, analysis: AbAnalysis, share: float) -> Size | None:
    """The units that one metric needs; None when the plan does not say enough of it."""
    difference = difference_of(metric)
    if metric.baseline is None or difference is None:
        return None
    if metric.type == "proportion":
        treated = metric.baseline if metric.role == "guardrail" else metric.baseline + metric.sign * difference
        if not 0 < treated < 1:
            return None
        variances = metric.baseline * (1 - metric.baseline), treated * (1 - treated)
        return size_for(difference, variances, alpha, analysis.power, share)
    if metric.deviation is None:
        return None
    variance = metric.deviation**2
    size = size_for(difference, (variance, variance), alpha, analysis.power, share)
    while power_of_t_test(difference / metric.deviation, size, alpha) < analysis.power:
        size = _arms(size.units + 1, share)
    return size


def difference_of(metric: AbMetric) -> float | None:
    """The difference that the test is to tell from none, in the metric's unit."""
    if metric.baseline is None:
        return None
    if metric.expected is not None:
        return abs(metric.expected - metric.baseline)
    allowed = metric.margin if metric.role == "guardrail" else metric.minimum_effect
    return allowed.allowance(metric.baseline) or None if allowed is not None else None


def size_for(difference: float, variances: tuple[float, float], alpha: float, power: float, share: float) -> Size:
    """The normal formula; ``variances`` of control and treatment, ``difference`` above zero."""
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
    control, treatment = variances
    return _arms(z**2 * (control / (1 - share) + treatment / share) / difference**2, share)


def power_of_t_test(standardised: float, size: Size, alpha: float) -> float:
    """The two-sided t-test's power; ``standardised``: difference / standard deviation."""
    degrees = size.units - 2
    if degrees < 1:
        return 0.0
    shift = abs(standardised) / sqrt(1 / size.control + 1 / size.treatment)
    critical = float(stats.t.ppf(1 - alpha / 2, degrees))
    return float(stats.nct.sf(critical, degrees, shift) + stats.nct.cdf(-critical, degrees, shift))


def _arms(units: float, share: float) -> Size:
    return Size(max(2, ceil(units * (1 - share) - 1e-9)), max(2, ceil(units * share - 1e-9)))
