"""Healthy shapes that were never used for tuning the judge.

They were written before it was tuned, except ``short_fill``, ``short_root`` and ``short_busy``: these took the place of
``short_full_collections``, which failed at first (8 of 300 series called leaking) and is one of the tuned families now.
"""

import numpy as np

from benchmarks.leaks.families import Family, Made, quiet
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
    steps,
    walk,
    wave,
)


def weekend(random: Random, hours: Array) -> Made:
    """A working-day cycle of 40 to 120 MB that rests on two days of seven; the soak starts anywhere in the week."""
    week = hours + between(random, 0, 168)
    day = np.maximum(0, np.sin(2 * np.pi * (week % 24) / 24))
    return hours, quiet(random, hours) + between(random, 40, 120) * day * ((week // 24) % 7 < 5)


def weekend_level(random: Random, hours: Array) -> Made:
    """The level itself is 30 to 100 MB lower on two days of seven."""
    week = hours + between(random, 0, 168)
    return hours, quiet(random, hours) + between(random, 30, 100) * ((week // 24) % 7 < 5)


def up_and_down(random: Random, hours: Array) -> Made:
    """Up by 40 to 150 MB for 6 to 40 hours, and down again."""
    start = between(random, 5, 60)
    inside = (hours >= start) & (hours < start + between(random, 6, 40))
    return hours, quiet(random, hours) + between(random, 40, 150) * inside


def full_collections(random: Random, hours: Array) -> Made:
    """A slow saw-tooth: a full collection every 3 to 9 hours, 40 to 150 MB."""
    return hours, quiet(random, hours) + saw(random, hours, between(random, 40, 150), between(random, 3, 9))


def power_law(random: Random, hours: Array) -> Made:
    """Growth with a power of 0.2 to 0.45 of the time, 100 to 300 MB in all."""
    return hours, quiet(random, hours) + between(random, 100, 300) * (hours / hours[-1]) ** between(random, 0.2, 0.45)


def hyperbolic(random: Random, hours: Array) -> Made:
    """t / (t + c) with c of 4 to 20 hours, towards 100 to 250 MB."""
    return hours, quiet(random, hours) + between(random, 100, 250) * hours / (hours + between(random, 4, 20))


def second_warm_up(random: Random, hours: Array) -> Made:
    """A feature is switched on at any time: a second warm-up of 60 to 150 MB with a time constant of 1 to 6 hours."""
    age = np.maximum(0, hours - between(random, 5, 65))
    return hours, quiet(random, hours) + between(random, 60, 150) * (1 - np.exp(-age / between(random, 1, 6)))


def heavy_tails(random: Random, hours: Array) -> Made:
    """Noise of Student's t with 2 degrees of freedom and bursts of up to 100 MB that fade within an hour."""
    values = BASE_MB + 3 * random.standard_t(2, len(hours)).clip(-100, 100)
    for at in random.uniform(0, hours[-1], 20):
        age = np.maximum(0, hours - at)
        values += between(random, 10, 100) * np.exp(-age / between(random, 0.1, 1)) * (hours >= at)
    return hours, values


def smooth_wander(random: Random, hours: Array) -> Made:
    """A stationary wander of 5 to 20 MB whose correlation lasts 3 to 8 hours, smoothed over an hour."""
    values = correlated(random, hours, either(random, 5, 20), between(random, 3, 8))
    return hours, quiet(random, hours) + np.convolve(values, np.ones(120) / 120, mode="same")


def two_levels(random: Random, hours: Array) -> Made:
    """A pool that is taken and given back: 30 to 100 MB, each state for 3 to 24 hours."""
    lengths = random.uniform(3, 24, 40).cumsum() - between(random, 0, 20)
    state = np.searchsorted(lengths, hours) % 2
    return hours, quiet(random, hours) + between(random, 30, 100) * state


def long_jobs(random: Random, hours: Array) -> Made:
    """A nightly job of 3 to 6 hours, 60 to 150 MB, a few hours early or late."""
    job = jobs(random, hours, between(random, 60, 150), 24, between(random, 3, 6))
    return hours, quiet(random, hours) + job


def changing_collector(random: Random, hours: Array) -> Made:
    """A saw-tooth whose height changes by a factor of up to two, once."""
    tooth = saw(random, hours, between(random, 30, 100), either(random, 0.1, 1))
    return hours, quiet(random, hours) + tooth * np.where(hours > between(random, 5, 67), between(random, 0.5, 2), 1)


def busy_service(random: Random, hours: Array) -> Made:
    """Weekend, slow saw-tooth, logarithmic growth by 60 to 150 MB, wander, and a step up in half of the runs."""
    _, values = weekend(random, hours)
    values = values + saw(random, hours, 60, between(random, 2, 5)) + walk(random, hours, either(random, 0.5, 1.5))
    values += logarithm(hours, between(random, 60, 150), either(random, 0.5, 4))
    return hours, values + steps(random, hours, int(random.integers(0, 2)), 20, 100, 0)


def odd_cycle(random: Random, hours: Array) -> Made:
    """A cycle of 7 to 40 hours that has nothing to do with days, ±10 to 40 MB."""
    return hours, quiet(random, hours) + wave(random, hours, between(random, 10, 40), between(random, 7, 40))


LONG: tuple[Family, ...] = (
    weekend, weekend_level, up_and_down, full_collections, power_law, hyperbolic, second_warm_up, heavy_tails,
    smooth_wander, two_levels, long_jobs, changing_collector, busy_service, odd_cycle,
)  # fmt: skip


def short_ramp(random: Random, hours: Array) -> Made:
    """The load rises for 3 to 8 minutes and then holds: 50 to 200 MB."""
    return hours, quiet(random, hours) + between(random, 50, 200) * np.minimum(1, hours * 60 / between(random, 3, 8))


def short_hyperbolic(random: Random, hours: Array) -> Made:
    """t / (t + c) with c of 2 to 30 minutes, towards 100 to 250 MB."""
    return hours, quiet(random, hours) + between(random, 100, 250) * hours / (hours + between(random, 2, 30) / 60)


def short_levels(random: Random, hours: Array) -> Made:
    """A pool that is taken and given back: 30 to 100 MB, each state for 30 to 200 seconds."""
    lengths = random.uniform(30, 200, 60).cumsum() / 3600
    return hours, quiet(random, hours) + between(random, 30, 100) * (np.searchsorted(lengths, hours) % 2)


def short_odd_cycle(random: Random, hours: Array) -> Made:
    """A cycle of 1 to 8 minutes, ±10 to 40 MB."""
    return hours, quiet(random, hours) + wave(random, hours, between(random, 10, 40), between(random, 1, 8) / 60)


def short_fill(random: Random, hours: Array) -> Made:
    """A cache that fills at a constant speed for 6 to 40 minutes, to 60 to 200 MB."""
    filled = np.minimum(1, hours * 60 / between(random, 6, 40))
    return hours, quiet(random, hours) + between(random, 60, 200) * filled


def short_root(random: Random, hours: Array) -> Made:
    """Growth with the root of time, 30 to 200 MB."""
    return hours, quiet(random, hours) + between(random, 30, 200) * np.sqrt(hours / hours[-1])


def short_busy(random: Random, hours: Array) -> Made:
    """A saw-tooth of 4 to 20 minutes, t / (t + c), and a step up in half of the runs."""
    shape = saw(random, hours, between(random, 40, 150), between(random, 4, 20) / 60)
    shape += between(random, 30, 150) * hours / (hours + between(random, 2, 20) / 60)
    return hours, quiet(random, hours) + shape + steps(random, hours, int(random.integers(0, 2)), 10, 80, 0)


SHORT: tuple[Family, ...] = (
    short_ramp, short_hyperbolic, short_levels, short_odd_cycle, short_fill, short_root, short_busy,
)  # fmt: skip
