"""The last answers of this process, and what they say: by what answered, and by path.

Errors are 5xx; refusals (4xx) are counted apart: a client's mistake or a full bucket says nothing against a release.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

MOST_ANSWERS = 10_000
MOST_ERRORS = 500


class By(StrEnum):
    """What answered a recommendation: the ensemble of this release, or the router as the release before."""

    CANARY = "canary"
    LEGACY = "legacy"


class Answer(NamedTuple):
    """One answer; ``by`` is None where neither ensemble nor router was asked. Only errors keep their ids."""

    at_s: float
    method: str
    path: str
    status: int
    ms: float
    by: By | None
    request_id: str
    trace_id: str

    @property
    def at(self) -> datetime:
        """When it was given."""
        return datetime.fromtimestamp(self.at_s, UTC)

    @property
    def failed(self) -> bool:
        """Whether the service failed."""
        return self.status >= 500


@dataclass(frozen=True)
class Measured:
    """Some answers together; times in milliseconds, None without answers."""

    requests: int
    errors: int
    refused: int
    error_rate: float | None
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    statuses: dict[str, int]


class Answers:
    """The last 10,000 answers, and apart from them the last 500 errors, which traffic would soon push out."""

    def __init__(self) -> None:
        self._answers: deque[Answer] = deque(maxlen=MOST_ANSWERS)
        self._errors: deque[Answer] = deque(maxlen=MOST_ERRORS)
        self.since = datetime.now(UTC)

    def note(self, answer: Answer) -> None:
        """Take an answer into account."""
        self._answers.append(answer)
        if answer.failed:
            self._errors.append(answer)

    def reset(self) -> int:
        """Begin anew; returns how many answers are forgotten."""
        forgotten = len(self._answers)
        self._answers.clear()
        self._errors.clear()
        self.since = datetime.now(UTC)
        return forgotten

    def all(self) -> list[Answer]:
        """The answers, oldest first."""
        return list(self._answers)

    def errors(self, most: int) -> list[Answer]:
        """The last errors, newest first."""
        return list(self._errors)[: -most - 1 : -1]


def measured(answers: Sequence[Answer]) -> Measured:
    """What some answers say."""
    times = sorted(answer.ms for answer in answers)
    errors = sum(answer.failed for answer in answers)
    count = len(answers)
    return Measured(
        requests=count,
        errors=errors,
        refused=sum(400 <= answer.status < 500 for answer in answers),
        error_rate=errors / count if count else None,
        mean_ms=round(sum(times) / count, 3) if count else None,
        p50_ms=percentile(times, 0.5),
        p95_ms=percentile(times, 0.95),
        p99_ms=percentile(times, 0.99),
        statuses={str(status): number for status, number in sorted(Counter(a.status for a in answers).items())},
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that ``share`` of all do not exceed; None without values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def by_path(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    """The answers of each route; how many routes there are is the application's choice and no client's."""
    found: dict[str, list[Answer]] = {}
    for answer in answers:
        found.setdefault(f"{answer.method} {answer.path}", []).append(answer)
    return found


def failures_in_a_row(answers: Sequence[Answer]) -> int:
    """How many of the newest answers failed without one between them that did not."""
    count = 0
    for answer in reversed(answers):
        if not answer.failed:
            break
        count += 1
    return count
