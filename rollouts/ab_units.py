"""What was measured of each unit (usually a user) of an A/B test."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class MetricValues:
    """One metric of every unit; NaN where it is missing (shape of each: units).

    ``denominator`` is that of ratios; a unit without numerator or denominator is missing.
    """

    values: Floats
    denominator: Floats | None = None
    covariate: Floats | None = None

    @property
    def known(self) -> Bools:
        """Which units have a value."""
        known: Bools = np.isfinite(self.values)
        return known if self.denominator is None else known & np.isfinite(self.denominator)

    def of(self, units: Bools) -> "MetricValues":
        """The same of some units."""
        return MetricValues(
            self.values[units],
            None if self.denominator is None else self.denominator[units],
            None if self.covariate is None else self.covariate[units],
        )


@dataclass(frozen=True)
class Units:
    """All units of a test, one entry each: which arm they are in, their metrics, and the segment that each is in.

    ``segments`` maps the name of a split (``country``) to each unit's part of it (``NO``).
    """

    is_treatment: Bools
    metrics: Mapping[str, MetricValues]
    segments: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
