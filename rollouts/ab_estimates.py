"""Estimates, intervals and p-values of the difference between two arms of independent units.

Means: Welch's test (Welch, "The generalization of Student's problem when several different population variances are
involved", Biometrika 34, 1947). Ratios of sums: the delta method, which is Welch's test on (y - R x) / mean(x) with the
arm's own ratio R (Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018, section 3.1).
Covariates: CUPED (Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", WSDM 2013), with the slope pooled *within* the arms, which makes the effect that of an analysis of
covariance. Proportions: the score test, whose variance is that of the likeliest pair of rates that differ by just what
the null hypothesis says (Mee, "Confidence bounds for the difference between two probabilities", Biometrics 40, 1984;
Farrington and Manning, "Test statistics and sample size formulae for comparative binomial trials with null hypothesis
of non-zero risk difference", Statistics in Medicine 9, 1990). Against zero it is the pooled z-test, which is the
chi-square test without continuity correction; its interval is that of all differences that it does not refute.
"""

from dataclasses import dataclass
from math import acos, copysign, cos, isfinite, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """Moments of one arm. ``variance`` is that between units, not of the mean."""

    units: int
    mean: float
    variance: float


def sample_of(values: Floats) -> Sample | None:
    """Moments of one value per unit; None with fewer than two."""
    if len(values) < 2:
        return None
    return Sample(len(values), float(values.mean()), float(values.var(ddof=1)))


def linearise(numerator: Floats, denominator: Floats) -> Floats | None:
    """One value per unit of one arm, whose mean is sum / sum and whose variance that of the ratio (delta method).

    None when the denominators do not add up to more than zero.
    """
    if len(denominator) == 0 or not denominator.sum() > 0:
        return None
    ratio = numerator.sum() / denominator.sum()
    values: Floats = (numerator - ratio * denominator) / denominator.mean() + ratio
    return values


@dataclass(frozen=True)
class Adjusted:
    """Values with the part removed that the covariate foretells; ``reduction``: share of the variance that went."""

    values: Floats
    reduction: float


def adjust(values: Floats, covariate: Floats, is_treatment: Bools) -> Adjusted:
    """CUPED. Units without a covariate (NaN) get the mean of the others, which is the same for both arms.

    A covariate without variance changes nothing.
    """
    known = np.isfinite(covariate)
    if not known.any():
        return Adjusted(values, 0.0)
    centred = np.where(known, covariate - covariate[known].mean(), 0.0)
    value_within, covariate_within = _within(values, is_treatment), _within(centred, is_treatment)
    spread = float(covariate_within @ covariate_within)
    if spread <= 1e-12 * max(float(centred @ centred), 1e-300):
        return Adjusted(values, 0.0)
    slope = float(covariate_within @ value_within) / spread
    before = float(value_within @ value_within)
    after = value_within - slope * covariate_within
    return Adjusted(values - slope * centred, 1 - float(after @ after) / before if before > 0 else 0.0)


def _within(values: Floats, is_treatment: Bools) -> Floats:
    centred = values.astype(float)
    for arm in (is_treatment, ~is_treatment):
        if arm.any():
            centred[arm] -= centred[arm].mean()
    return centred


@dataclass(frozen=True)
class Difference:
    """treatment - ``scale`` * control with its standard error and degrees of freedom (Welch-Satterthwaite)."""

    value: float
    error: float
    degrees: float

    def interval(self, alpha: float) -> tuple[float, float]:
        """The two-sided 1 - alpha interval."""
        half = float(stats.t.ppf(1 - alpha / 2, self.degrees)) * self.error
        return self.value - half, self.value + half

    def p_two_sided(self) -> float:
        """Of "the difference is zero"."""
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.degrees))

    def p_above(self, bound: float) -> float:
        """One-sided, of "the difference is at most ``bound``"."""
        return float(stats.t.sf((self.value - bound) / self.error, self.degrees))

    def p_below(self, bound: float) -> float:
        """One-sided, of "the difference is at least ``bound``"."""
        return float(stats.t.cdf((self.value - bound) / self.error, self.degrees))


def difference_of_means(control: Sample, treatment: Sample, scale: float = 1.0) -> Difference | None:
    """Welch's difference; ``scale`` other than 1 compares with a multiple of the control's mean.

    None when neither arm varies: then nothing says how sure the difference is.
    """
    of_treatment = treatment.variance / treatment.units
    of_control = scale**2 * control.variance / control.units
    variance = of_treatment + of_control
    size = max(abs(control.mean), abs(treatment.mean))
    if not isfinite(variance) or variance <= (1e-12 * size) ** 2:
        return None
    degrees = variance**2 / (of_treatment**2 / (treatment.units - 1) + of_control**2 / (control.units - 1))
    return Difference(treatment.mean - scale * control.mean, sqrt(variance), degrees)


@dataclass(frozen=True)
class Rates:
    """Successes of each arm, as counts; both arms have units."""

    control_hits: int
    control_units: int
    treatment_hits: int
    treatment_units: int

    @property
    def difference(self) -> float:
        """Treatment's rate - control's."""
        return self.treatment_hits / self.treatment_units - self.control_hits / self.control_units

    def score(self, bound: float) -> float:
        """The score statistic of "the difference is ``bound``", standard normal if it is."""
        control = _likeliest_control_rate(self, bound)
        treatment = min(max(control + bound, 0.0), 1.0)
        variance = treatment * (1 - treatment) / self.treatment_units + control * (1 - control) / self.control_units
        distance = self.difference - bound
        if variance <= 0:
            return 0.0 if abs(distance) < 1e-12 else copysign(float("inf"), distance)
        return distance / sqrt(variance)

    def p_two_sided(self) -> float:
        """Of "the rates are equal"."""
        return float(2 * stats.norm.sf(abs(self.score(0.0))))

    def p_above(self, bound: float) -> float:
        """One-sided, of "the difference is at most ``bound``"."""
        return float(stats.norm.sf(self.score(bound)))

    def p_below(self, bound: float) -> float:
        """One-sided, of "the difference is at least ``bound``"."""
        return float(stats.norm.cdf(self.score(bound)))

    def interval(self, alpha: float) -> tuple[float, float]:
        """All differences that the two-sided score test does not refute at alpha."""
        z = float(stats.norm.ppf(1 - alpha / 2))
        return self._edge(-1.0, z), self._edge(1.0, z)

    def _edge(self, end: float, z: float) -> float:
        inside, outside = self.difference, end
        for _ in range(50):
            middle = (inside + outside) / 2
            if abs(self.score(middle)) < z:
                inside = middle
            else:
                outside = middle
        return (inside + outside) / 2


def _likeliest_control_rate(rates: Rates, bound: float) -> float:
    """The control's rate that is likeliest among pairs of rates that differ by ``bound``.

    The middle root of the cubic that the derivative of the likelihood is, in closed form (Miettinen and Nurminen,
    "Comparative analysis of two rates", Statistics in Medicine 4, 1985; Farrington and Manning 1990, appendix).
    """
    units = rates.treatment_units + rates.control_units
    hits = rates.treatment_hits + rates.control_hits
    square = (rates.treatment_units + 2 * rates.control_units) * bound - units - hits
    linear = (rates.control_units * bound - units - 2 * rates.control_hits) * bound + hits
    constant = rates.control_hits * bound * (1 - bound)
    third = square / (3 * units)
    q = third**3 - linear * square / (6 * units**2) + constant / (2 * units)
    p = copysign(sqrt(max(third**2 - linear / (3 * units), 0.0)), q)
    angle = (pi + acos(min(max(q / p**3, -1.0), 1.0) if p else 0.0)) / 3
    return min(max(2 * p * cos(angle) - third, max(0.0, -bound)), min(1.0, 1.0 - bound))
