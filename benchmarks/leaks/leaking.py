"""Series with growth of a stated size: a multiple of the limit, relative to the level when the warm-up is over.

A leak that begins later, or comes in steps, has its stated growth a day from its beginning on.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.leaks import families, held_out
from benchmarks.leaks.families import Made
from benchmarks.leaks.parts import Array, Random, between, either

LIMIT_PER_DAY = 0.05
_WARM_UP = 0.25

Leak = Callable[[Random, Array, float], Made]
"""Makes a series whose growth a day is the third argument times the limit."""


def per_hour(times: float, values: Array, hours: Array) -> float:
    """MB an hour that are ``times`` the limit of a level that includes what leaked during the warm-up."""
    level = float(np.percentile(values[len(values) // 4 : len(values) // 2], 50))
    share = times * LIMIT_PER_DAY / 24
    return share * level / (1 - share * min(_WARM_UP * float(hours[-1]), 0.5 / share))


def linear(random: Random, hours: Array, times: float) -> Made:
    """Straight growth on AR(1) noise of 1 to 6 MB."""
    _, values = families.ar_noise(random, hours)
    return hours, values + per_hour(times, values, hours) * hours


def linear_in_mixture(random: Random, hours: Array, times: float) -> Made:
    """Straight growth on the mixture of cycle, saw-tooth, warm-up and wander."""
    _, values = families.mixture(random, hours)
    return hours, values + per_hour(times, values, hours) * hours


def late(random: Random, hours: Array, times: float) -> Made:
    """Straight growth that begins between a fifth and two thirds of the mixture."""
    _, values = families.mixture(random, hours)
    age = np.maximum(0, hours - between(random, 0.2, 0.667) * hours[-1])
    return hours, values + per_hour(times, values, hours) * age


def stepwise(random: Random, hours: Array, times: float) -> Made:
    """Growth in steps, one each 1 to 5 hours, on the mixture."""
    _, values = families.mixture(random, hours)
    every = between(random, 1, 5) * hours[-1] / 72
    taken = np.floor(hours / every + between(random, 0, 1))
    return hours, values + per_hour(times, values, hours) * every * taken


def load_driven(random: Random, hours: Array, times: float) -> Made:
    """Growth in proportion to a load that is high for half of the day and a fifth of that at night."""
    start = between(random, 0, 24)
    load = np.where((hours + start) % 24 < 12, 1.0, 0.2) / 0.6
    _, values = families.mixture(random, hours)
    grown = np.concatenate([[0.0], np.cumsum(load[1:] * np.diff(hours))])
    return hours, values + 20 * load + per_hour(times, values, hours) * grown


def accelerating(random: Random, hours: Array, times: float) -> Made:
    """Growth that doubles from the first hour to the last; its mean after the warm-up is as stated. Never tuned on."""
    _, values = families.mixture(random, hours)
    share = hours / hours[-1]
    grown = hours * (1 + share / 2) / 1.625
    return hours, values + per_hour(times, values, hours) * grown


def at_work(random: Random, hours: Array, times: float) -> Made:
    """Growth for eight hours of each day, on smooth wander. Never tuned on."""
    _, values = held_out.smooth_wander(random, hours)
    busy = ((hours + between(random, 0, 24)) % 24 < 8) * 3.0
    grown = np.concatenate([[0.0], np.cumsum(busy[1:] * np.diff(hours))])
    return hours, values + per_hour(times, values, hours) * grown


def under_collections(random: Random, hours: Array, times: float) -> Made:
    """Straight growth under a saw-tooth of 3 to 9 hours. Never tuned on."""
    _, values = held_out.full_collections(random, hours)
    return hours, values + per_hour(times, values, hours) * hours


def in_jobs(random: Random, hours: Array, times: float) -> Made:
    """A job for half to nineteen twentieths of every 30 minutes to 4 hours, whose memory grows; the rest is level."""
    values = families.quiet(random, hours)
    every, busy = either(random, 0.5, 4), between(random, 0.5, 0.95)
    inside = (hours + between(random, 0, every)) % every < busy * every
    return hours, values + (between(random, 20, 150) + per_hour(times, values, hours) * hours) * inside


TUNED: tuple[Leak, ...] = (linear, linear_in_mixture, late, stepwise, load_driven, in_jobs)
HELD_OUT: tuple[Leak, ...] = (accelerating, at_work, under_collections)
SIZES = (1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)


def short_linear(random: Random, hours: Array, mb_per_hour: float) -> Made:
    """Straight growth on AR(1) noise, in ten minutes."""
    _, values = families.short_noise(random, hours)
    return hours, values + mb_per_hour * hours


def short_in_mixture(random: Random, hours: Array, mb_per_hour: float) -> Made:
    """Straight growth on the short mixture, in ten minutes."""
    _, values = families.short_mixture(random, hours)
    return hours, values + mb_per_hour * hours


SHORT: tuple[Leak, ...] = (short_linear, short_in_mixture)
SHORT_MB_PER_HOUR = (2.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 2400.0, 4800.0)
