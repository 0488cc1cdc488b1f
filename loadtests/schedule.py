"""The seeded schedule of a load: when each arrival is to begin. The generator follows it, a replay counts it again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from random import Random


@dataclass(frozen=True)
class Ramp:
    """A part of a schedule: the rate goes linearly from one value to another. Rates are arrivals a second."""

    from_per_s: float
    to_per_s: float
    over_s: float


Shape = tuple[Ramp, ...]
"""The rate over time: ramps one after the other. A jump is a ramp that begins where the one before did not end."""


def constant(rate_per_s: float, duration_s: float) -> Shape:
    """One rate for the whole time."""
    return (Ramp(rate_per_s, rate_per_s, duration_s),)


def staged(stages: Sequence[tuple[float, float]], at_most_s: float = inf) -> Shape:
    """Stages as (rate to reach, seconds), from no arrivals at all; one of 0 s is a jump.

    Where they take longer than ``at_most_s`` all of them are shortened alike: the rates stay, the shape is compressed.
    """
    whole_s = sum(over_s for _, over_s in stages)
    factor = min(1.0, at_most_s / whole_s)
    before = [0.0, *(to_per_s for to_per_s, _ in stages)]
    ramps = (Ramp(start, to, over_s * factor) for start, (to, over_s) in zip(before, stages, strict=False))
    return tuple(ramp for ramp in ramps if ramp.over_s > 0)


def duration_s(shape: Shape) -> float:
    """How long a schedule is."""
    return sum(ramp.over_s for ramp in shape)


def highest_per_s(shape: Shape) -> float:
    """The highest rate of a schedule."""
    return max(max(ramp.from_per_s, ramp.to_per_s) for ramp in shape)


def mean_per_s(shape: Shape) -> float:
    """The mean rate of a schedule."""
    return sum((ramp.from_per_s + ramp.to_per_s) / 2 * ramp.over_s for ramp in shape) / duration_s(shape)


def arrivals(*, seed: int, shape: Shape) -> Iterator[float]:
    """Intended start times in seconds from the beginning: a Poisson process whose rate follows the shape.

    Exact, by the change of time: the arrivals of a process of rate 1 are put where the integral of the rate reaches
    them (Cinlar, Introduction to Stochastic Processes, section 4.7). Within a ramp it is a quadratic function.
    """
    random = Random(seed)
    began_s, missing = 0.0, random.expovariate(1.0)
    for ramp in shape:
        expected = (ramp.from_per_s + ramp.to_per_s) / 2 * ramp.over_s
        reached = 0.0
        while missing < expected - reached:
            reached += missing
            at_s = began_s + _time_of(ramp, reached)
            if at_s < began_s + ramp.over_s:
                yield at_s
            missing = random.expovariate(1.0)
        missing -= expected - reached
        began_s += ramp.over_s


def _time_of(ramp: Ramp, expected: float) -> float:
    """Seconds into the ramp until as many arrivals were expected. This form of the root loses nothing at slope 0."""
    slope = (ramp.to_per_s - ramp.from_per_s) / ramp.over_s
    root = sqrt(max(0.0, ramp.from_per_s**2 + 2 * slope * expected))
    return 2 * expected / (ramp.from_per_s + root)


def offered(*, seed: int, shape: Shape, until_s: float = inf) -> int:
    """How many arrivals the schedule asks for before ``until_s``."""
    return sum(1 for at_s in arrivals(seed=seed, shape=shape) if at_s < until_s)


def shape_text(shape: Shape) -> str:
    """A shape as a record's parameter: JSON, to the last bit."""
    return json.dumps([[ramp.from_per_s, ramp.to_per_s, ramp.over_s] for ramp in shape])


def read_shape(text: str) -> Shape:
    """What ``shape_text`` wrote. Raises ValueError and TypeError."""
    return tuple(Ramp(*entry) for entry in json.loads(text))
