"""One request as the router saw it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Arm = Literal["stable", "canary"]

UNAVAILABLE = frozenset({0, 502, 503, 504})
"""Statuses of a version that did not answer; 0: no status at all, or the user gave up waiting."""
RATE_LIMITED = 429


@dataclass(frozen=True, slots=True)
class RequestSample:
    """One request. ``at_s``: epoch seconds of its start; ``backend``: who answered; ``status`` 0: no answer.

    ``assigned`` differs from ``backend`` when a user of the canary was sent to stable because the canary was down.
    """

    at_s: float
    backend: Arm
    status: int
    latency_ms: float
    user_hash: str
    assigned: Arm

    @property
    def is_error(self) -> bool:
        """No answer, or an answer that says that the server failed."""
        return self.status == 0 or self.status >= 500

    @property
    def is_rejection(self) -> bool:
        """A 4xx other than 429: the version says that the request is wrong."""
        return 400 <= self.status < 500 and self.status != RATE_LIMITED


@dataclass(frozen=True)
class Requests:
    """Requests of both arms in the order of their start, one array entry each; NaN where a value is missing."""

    is_canary: NDArray[np.bool_]
    error: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    rejected: NDArray[np.float64]


def as_arrays(samples: Sequence[RequestSample]) -> Requests:
    """Samples as the judge reads them, sorted by start."""
    ordered = sorted(samples, key=lambda sample: sample.at_s)
    return Requests(
        is_canary=np.array([sample.backend == "canary" for sample in ordered], dtype=np.bool_),
        error=np.array([sample.is_error for sample in ordered], dtype=float),
        latency_ms=np.array([sample.latency_ms for sample in ordered], dtype=float),
        rejected=np.array([sample.is_rejection for sample in ordered], dtype=float),
    )
