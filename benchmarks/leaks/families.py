"""Healthy series on which the judge was tuned; each is 500 MB and what its name says. All parameters are drawn anew."""

from collections.abc import Callable

import numpy as np

from benchmarks.leaks.parts import (
    BASE_MB,
    Array,
    Random,
    between,
    correlated,
    either,
    jobs,
    logarithm,
    saw,
    square,
    steps,
    walk,
    warm_up,
    wave,
    white,
    without,
)

Made = tuple[Array, Array]
"""Times in hours and values in MB."""
Family = Callable[[Random, Array], Made]


def quiet(random: Random, hours: Array) -> Array:
    """What every series has besides its own shape: AR(1) noise of 0.5 to 2 MB with a memory of 3 to 30 minutes."""
    long = hours[-1] > 1
    memory = either(random, 0.05, 0.5) if long else either(random, 0.001, 0.01)
    return BASE_MB + correlated(random, hours, either(random, 0.5, 2), memory)


def noise(random: Random, hours: Array) -> Made:
    """White noise, sd 1 to 8 MB."""
    return hours, BASE_MB + white(random, hours, either(random, 1, 8))


def ar_noise(random: Random, hours: Array) -> Made:
    """AR(1) noise, sd 1 to 6 MB, memory 10 minutes to 3 hours."""
    return hours, BASE_MB + correlated(random, hours, either(random, 1, 6), either(random, 1 / 6, 3))


def sawtooth(random: Random, hours: Array) -> Made:
    """Collections every 5 to 60 minutes, 30 to 150 MB high."""
    return hours, quiet(random, hours) + saw(random, hours, between(random, 30, 150), either(random, 1 / 12, 1))


def daily(random: Random, hours: Array) -> Made:
    """A daily cycle of ±10 to 60 MB."""
    return hours, quiet(random, hours) + wave(random, hours, between(random, 10, 60), 24)


def weekly(random: Random, hours: Array) -> Made:
    """A weekly cycle of ±10 to 45 MB over a daily one of ±20 MB."""
    week = between(random, 10, 45) * np.sin(2 * np.pi * hours / 168 + between(random, 0, 2 * np.pi))
    return hours, quiet(random, hours) + week + wave(random, hours, 20, 24)


def day_and_night(random: Random, hours: Array) -> Made:
    """Square load: 20 to 120 MB more for half of the day, switched within half an hour."""
    return hours, quiet(random, hours) + square(random, hours, between(random, 20, 120), 0.5)


def batch(random: Random, hours: Array) -> Made:
    """A job of 30 to 90 minutes every 4 to 12 hours, 50 to 200 MB."""
    job = jobs(random, hours, between(random, 50, 200), between(random, 4, 12), between(random, 0.5, 1.5))
    return hours, quiet(random, hours) + job


def fast_warm_up(random: Random, hours: Array) -> Made:
    """80 to 200 MB with a time constant of 0.5 to 3 hours."""
    return hours, quiet(random, hours) + warm_up(hours, between(random, 80, 200), either(random, 0.5, 3))


def slow_warm_up(random: Random, hours: Array) -> Made:
    """80 to 200 MB with a time constant of 4 to 24 hours."""
    return hours, quiet(random, hours) + warm_up(hours, between(random, 80, 200), either(random, 4, 24))


def log_growth(random: Random, hours: Array) -> Made:
    """Logarithmic growth by 100 to 400 MB in 72 hours, in a third of the runs ending at a plateau on the way."""
    growth = logarithm(hours, between(random, 100, 400), either(random, 0.2, 6))
    if random.random() < 1 / 3:
        growth = np.minimum(growth, growth[int(len(hours) * between(random, 0.3, 0.9))])
    return hours, quiet(random, hours) + growth


def one_step(random: Random, hours: Array) -> Made:
    """One step up by 20 to 150 MB."""
    return hours, quiet(random, hours) + steps(random, hours, 1, 20, 150, 0)


def several_steps(random: Random, hours: Array) -> Made:
    """Two to five steps of 20 to 150 MB, a fifth of them downward."""
    return hours, quiet(random, hours) + steps(random, hours, int(random.integers(2, 6)), 20, 150, 0.2)


def wander(random: Random, hours: Array) -> Made:
    """A random walk of 0.5 to 4 MB per root hour: 4 to 34 MB in 72 hours."""
    return hours, quiet(random, hours) + walk(random, hours, either(random, 0.5, 4))


def restarts(random: Random, hours: Array) -> Made:
    """One to four restarts; each life starts 150 to 250 MB lower and warms up within 0.5 to 3 hours."""
    births = np.sort(random.uniform(0, hours[-1], int(random.integers(1, 5))))
    age = hours - np.concatenate([[0.0], births])[np.searchsorted(births, hours, side="right")]
    height = between(random, 150, 250)
    return hours, quiet(random, hours) - height + warm_up(age, height, either(random, 0.5, 3))


def missing(random: Random, hours: Array) -> Made:
    """A daily cycle, 1 to 4 % of the samples missing in gaps of up to an hour, 100 MB warm-up."""
    kept = without(random, hours, between(random, 0.01, 0.04), 1.0)
    values = quiet(random, hours) + wave(random, hours, 25, 24) + warm_up(hours, 100, 1.5)
    return hours[kept], values[kept]


def clock_jumps(random: Random, hours: Array) -> Made:
    """A daily cycle under a clock that is set forward or back by up to an hour, one to three times."""
    times = hours.copy()
    for _ in range(int(random.integers(1, 4))):
        times[int(random.integers(1, len(hours))) :] += between(random, -1, 1)
    return times, quiet(random, hours) + wave(random, hours, 25, 24) + warm_up(hours, 80, 1.5)


def mixture(random: Random, hours: Array) -> Made:
    """±25 MB daily cycle, 60 MB saw-tooth, 80 MB warm-up, wander of 0.5 to 1.5 MB per root hour."""
    shape = wave(random, hours, 25, 24) + saw(random, hours, 60, either(random, 0.1, 0.8))
    shape += warm_up(hours, 80, either(random, 0.5, 4)) + walk(random, hours, either(random, 0.5, 1.5))
    return hours, quiet(random, hours) + shape


def mixture_and_steps(random: Random, hours: Array) -> Made:
    """The mixture, and one to three steps up of 20 to 120 MB."""
    _, values = mixture(random, hours)
    return hours, values + steps(random, hours, int(random.integers(1, 4)), 20, 120, 0)


def log_and_steps(random: Random, hours: Array) -> Made:
    """Logarithmic growth by 100 to 300 MB, a saw-tooth, a daily cycle and one or two steps up of 20 to 120 MB."""
    shape = logarithm(hours, between(random, 100, 300), either(random, 0.2, 4)) + wave(random, hours, 20, 24)
    shape += saw(random, hours, 60, 0.4) + steps(random, hours, int(random.integers(1, 3)), 20, 120, 0)
    return hours, quiet(random, hours) + shape


LONG: tuple[Family, ...] = (
    noise, ar_noise, sawtooth, daily, weekly, day_and_night, batch, fast_warm_up, slow_warm_up, log_growth, one_step,
    several_steps, wander, restarts, missing, clock_jumps, mixture, mixture_and_steps, log_and_steps,
)  # fmt: skip


def short_noise(random: Random, hours: Array) -> Made:
    """AR(1) noise, sd 0.5 to 4 MB, memory 2 s to 2 minutes."""
    return hours, BASE_MB + correlated(random, hours, either(random, 0.5, 4), either(random, 2 / 3600, 2 / 60))


def short_sawtooth(random: Random, hours: Array) -> Made:
    """Collections every 10 to 90 seconds, 20 to 100 MB."""
    return hours, quiet(random, hours) + saw(random, hours, between(random, 20, 100), either(random, 10, 90) / 3600)


def short_warm_up(random: Random, hours: Array) -> Made:
    """80 to 200 MB with a time constant of 30 seconds to 5 minutes."""
    return hours, quiet(random, hours) + warm_up(hours, between(random, 80, 200), either(random, 30, 300) / 3600)


def short_slow_warm_up(random: Random, hours: Array) -> Made:
    """80 to 300 MB with a time constant of 10 minutes to 6 hours."""
    return hours, quiet(random, hours) + warm_up(hours, between(random, 80, 300), either(random, 1 / 6, 6))


def short_log(random: Random, hours: Array) -> Made:
    """Logarithmic growth by 20 to 150 MB."""
    return hours, quiet(random, hours) + logarithm(hours, between(random, 20, 150), either(random, 5, 120) / 3600)


def short_steps(random: Random, hours: Array) -> Made:
    """One to four steps of 10 to 80 MB."""
    return hours, quiet(random, hours) + steps(random, hours, int(random.integers(1, 5)), 10, 80, 0.1)


def short_wander(random: Random, hours: Array) -> Made:
    """A random walk of 2 to 20 MB in the ten minutes."""
    return hours, quiet(random, hours) + walk(random, hours, either(random, 2, 20) * 6**0.5)


def short_mixture(random: Random, hours: Array) -> Made:
    """Saw-tooth, warm-up of 80 MB, wander, and in half of the runs a step of 20 to 80 MB."""
    shape = saw(random, hours, 60, either(random, 15, 60) / 3600) + walk(random, hours, 12)
    shape += warm_up(hours, 80, either(random, 1 / 30, 2))
    shape += steps(random, hours, int(random.integers(0, 2)), 20, 80, 0)
    return hours, quiet(random, hours) + shape


def short_full_collections(random: Random, hours: Array) -> Made:
    """A saw-tooth of 2 to 12 minutes, 40 to 150 MB."""
    return hours, quiet(random, hours) + saw(random, hours, between(random, 40, 150), between(random, 2, 12) / 60)


SHORT: tuple[Family, ...] = (
    short_noise, short_sawtooth, short_warm_up, short_slow_warm_up, short_log, short_steps, short_wander,
    short_mixture, short_full_collections,
)  # fmt: skip
