"""The parts that memory series are made of. Values in MB, times in hours; every part takes a seeded generator."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Array = NDArray[np.float64]
Random = np.random.Generator
Part = Callable[[Random, Array], Array]

BASE_MB = 500.0


def long_hours() -> Array:
    """72 hours at 30 seconds."""
    return np.arange(8640) / 120


def short_hours() -> Array:
    """10 minutes at 1 second."""
    return np.arange(600) / 3600


def between(random: Random, low: float, high: float) -> float:
    return float(random.uniform(low, high))


def either(random: Random, low: float, high: float) -> float:
    """Log-uniform: as often near the low end as near the high one."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def white(random: Random, hours: Array, sd: float) -> Array:
    return random.normal(0, sd, len(hours))


def correlated(random: Random, hours: Array, sd: float, memory_h: float) -> Array:
    """AR(1) noise whose correlation falls to 1/e within ``memory_h``."""
    r = float(np.exp(-(hours[1] - hours[0]) / memory_h))
    shocks = random.normal(0, sd * np.sqrt(1 - r * r), len(hours))
    shocks[0] /= np.sqrt(1 - r * r)
    return np.asarray(lfilter([1.0], [1.0, -r], shocks))


def walk(random: Random, hours: Array, sd_per_root_h: float) -> Array:
    """A random walk: an allocator that wanders without a drift."""
    return np.asarray(np.cumsum(random.normal(0, sd_per_root_h * np.sqrt(hours[1] - hours[0]), len(hours))))


def saw(random: Random, hours: Array, height: float, period_h: float) -> Array:
    """A garbage collector's saw-tooth: the period of each tooth varies by a tenth."""
    count = int((hours[-1] - hours[0]) / (0.6 * period_h)) + 3
    ends = hours[0] - between(random, 0, period_h) + np.cumsum(period_h * random.normal(1, 0.1, count).clip(0.7, 1.3))
    ends = np.concatenate([[hours[0] - period_h], ends])
    tooth = np.searchsorted(ends, hours, side="right") - 1
    tooth = tooth.clip(0, len(ends) - 2)
    return np.asarray(height * (hours - ends[tooth]) / (ends[tooth + 1] - ends[tooth]))


def wave(random: Random, hours: Array, height: float, period_h: float) -> Array:
    """A cycle of any phase that is not quite a sine."""
    phase = between(random, 0, 2 * np.pi)
    angle = 2 * np.pi * hours / period_h + phase
    return np.asarray(height * (np.sin(angle) + 0.3 * np.sin(2 * angle + between(random, 0, 2 * np.pi))))


def square(random: Random, hours: Array, height: float, jitter_h: float) -> Array:
    """Day and night: high for twelve hours of 24, switched up to ``jitter_h`` early or late."""
    start = between(random, -24, 0)
    result = np.zeros_like(hours)
    for day in range(int(hours[-1] / 24) + 2):
        on = start + 24 * day + between(random, -jitter_h, jitter_h)
        off = start + 24 * day + 12 + between(random, -jitter_h, jitter_h)
        result[(hours >= on) & (hours < off)] = height
    return result


def jobs(random: Random, hours: Array, height: float, every_h: float, lasting_h: float) -> Array:
    """Batch jobs: a start every ``every_h`` within a quarter of that, each of its own length."""
    result = np.zeros_like(hours)
    at = hours[0] - between(random, 0, every_h)
    while at < hours[-1]:
        result[(hours >= at) & (hours < at + lasting_h * between(random, 0.7, 1.3))] = height
        at += every_h * between(random, 0.75, 1.25)
    return result


def steps(random: Random, hours: Array, count: int, low: float, high: float, down: float) -> Array:
    """``count`` steps at any times after the first tenth; each is downward with probability ``down``."""
    result = np.zeros_like(hours)
    for at in random.uniform(hours[0] + 0.1 * (hours[-1] - hours[0]), hours[-1], count):
        sign = -1 if random.random() < down else 1
        result += sign * between(random, low, high) * (hours >= at)
    return result


def warm_up(hours: Array, height: float, time_h: float) -> Array:
    return np.asarray(height * (1 - np.exp(-hours / time_h)))


def logarithm(hours: Array, total: float, time_h: float) -> Array:
    """Logarithmic growth by ``total`` over the whole span."""
    return np.asarray(total * np.log1p(hours / time_h) / np.log1p(hours[-1] / time_h))


def without(random: Random, hours: Array, share: float, longest_h: float) -> NDArray[np.bool_]:
    """Which samples are left when ``share`` of them is missing, in gaps and singly."""
    kept = random.random(len(hours)) > share / 4
    missing = 0.0
    while missing < 0.75 * share * hours[-1]:
        at, length = between(random, 0, hours[-1]), between(random, 0.2, 1.0) * longest_h
        kept[(hours >= at) & (hours < at + length)] = False
        missing += length
    return kept
