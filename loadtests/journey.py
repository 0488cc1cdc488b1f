"""What a virtual user does: a journey yields calls and is sent their answers.

This module is all that a locustfile needs to describe journeys; it imports no Locust.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any


@dataclass(frozen=True)
class Call:
    """One request. ``name`` groups calls of one endpoint; ``expect`` are the statuses that are no error.

    ``body`` is sent as it is, in place of ``json``, with the content type of JSON.
    """

    method: str
    path: str
    name: str
    user_id: str
    json: Mapping[str, Any] | None = None
    expect: tuple[int, ...] = (200,)
    body: bytes | None = None


@dataclass(frozen=True)
class Answer:
    """What came back: status 0 when nothing did; ``json`` is empty when the body is no JSON object."""

    status: int
    json: Mapping[str, Any] = field(default_factory=dict)


Journey = Generator[Call, Answer, None]
MakeJourney = Callable[[Random], Journey]
"""Makes one journey of a new user; all its choices come from the given random numbers, so that runs can be repeated."""


def mixture(parts: Sequence[tuple[float, MakeJourney]]) -> MakeJourney:
    """A journey that is one of the parts, chosen by weight."""
    weights, makes = [weight for weight, _ in parts], [make for _, make in parts]

    def mixed(random: Random) -> Journey:
        yield from random.choices(makes, weights)[0](random)

    return mixed
