"""One request as the router saw it."""

from dataclasses import dataclass
from typing import Literal

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
        """No answer, or 5xx."""
        return self.status == 0 or self.status >= 500

    @property
    def is_rejection(self) -> bool:
        """A 4xx: a client's mistake, or a version that refuses what stable takes (429 as well)."""
        return 400 <= self.status < 500

    @property
    def is_unavailable(self) -> bool:
        """Whether the version did not answer at all: the router had to."""
        return self.status in UNAVAILABLE
