"""What was measured against the limits of the release plan, by which a rollout rolls back. A test holds both equal."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from engines.canary.answers import Answer, failures_in_a_row, measured

LEAST_ANSWERS = 100
MOST_ERROR_RATE = 0.01
MOST_P95_MS = 500.0
MOST_MEMORY = 0.85
MOST_FAILURES_IN_A_ROW = 9

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class State(StrEnum):
    """How a value stands to its limit; too few answers are not healthy."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    INSUFFICIENT_DATA = "insufficient_data"


@dataclass(frozen=True)
class Check:
    """A value and the most it may be; ``value`` None: there are too few answers to say."""

    name: str
    value: float | None
    limit: float

    @property
    def state(self) -> State:
        """How the value stands to its limit."""
        if self.value is None:
            return State.INSUFFICIENT_DATA
        return State.HEALTHY if self.value <= self.limit else State.UNHEALTHY


def checks(answers: Sequence[Answer], memory: float) -> list[Check]:
    """All checks of some answers, and of the share of memory that this process takes."""
    found = measured(answers)
    enough = found.requests >= LEAST_ANSWERS
    return [
        Check("error_rate", found.error_rate if enough else None, MOST_ERROR_RATE),
        Check("latency_p95_ms", found.p95_ms if enough else None, MOST_P95_MS),
        Check("consecutive_failures", failures_in_a_row(answers), MOST_FAILURES_IN_A_ROW),
        Check("memory", memory, MOST_MEMORY),
    ]


def state_of(made: Sequence[Check]) -> State:
    """The worst state of all checks."""
    states = {check.state for check in made}
    return next((s for s in (State.UNHEALTHY, State.INSUFFICIENT_DATA) if s in states), State.HEALTHY)


def memory_share() -> float:
    """The resident set as a share of what this process may have: the limit of its group, or all of the machine."""
    return psutil.Process().memory_info().rss / memory_limit()


def memory_limit() -> int:
    """How many bytes of memory this process may have."""
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:  # no group, or another system
        limit = "max"
    total = psutil.virtual_memory().total
    return min(int(limit), total) if limit.isdecimal() else total
