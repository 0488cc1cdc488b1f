"""What a virtual user does: a journey yields calls and is sent their answers.

This module is all that a locustfile needs to describe journeys; it imports no Locust.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any


@dataclass(frozen=True)
class Call:
    """One request. ``name`` groups calls of one endpoint; ``expect`` are the statuses that are no error."""

    method: str
    path: str
    name: str
    user_id: str
    json: Mapping[str, Any] | None = None
    expect: tuple[int, ...] = (200,)


@dataclass(frozen=True)
class Answer:
    """What came back: status 0 when nothing did; ``json`` is empty when the body is no JSON object."""

    status: int
    json: Mapping[str, Any] = field(default_factory=dict)


Journey = Generator[Call, Answer, None]
MakeJourney = Callable[[Random], Journey]
"""Makes one journey of a new user; all its choices come from the given random numbers, so that runs can be repeated."""
