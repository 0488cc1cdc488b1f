"""The seeded schedule of a load: when each request is to begin. The generator follows it, a replay counts it again."""

from collections.abc import Iterator
from random import Random


def arrivals(*, seed: int, rate_per_s: float, duration_s: float) -> Iterator[float]:
    """Intended start times in seconds from the beginning: a Poisson process of the stated rate."""
    random, at_s = Random(seed), 0.0
    while (at_s := at_s + random.expovariate(rate_per_s)) < duration_s:
        yield at_s


def offered(*, seed: int, rate_per_s: float, duration_s: float) -> int:
    """How many requests the schedule asks for."""
    return sum(1 for _ in arrivals(seed=seed, rate_per_s=rate_per_s, duration_s=duration_s))
