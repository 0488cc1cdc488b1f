"""Candidates beside a control under the same load. Both share cycles and warm-up; each has its own noise and collector.

``makes`` takes a random generator and times and returns the candidate's values and the control's.
"""

from collections.abc import Callable

from benchmarks.leaks.families import log_growth, quiet, several_steps
from benchmarks.leaks.leaking import per_hour
from benchmarks.leaks.parts import Array, Random, between, either, saw, steps, walk, warm_up, wave

Pair = Callable[[Random, Array], tuple[Array, Array]]


def shared(random: Random, hours: Array) -> tuple[Array, Array]:
    """Shared: a daily cycle, a warm-up of 4 to 12 hours, wander and one or two steps. Each alone: noise, saw-tooth."""
    common = wave(random, hours, 25, 24) + warm_up(hours, between(random, 80, 200), either(random, 4, 12))
    common += walk(random, hours, 1.5) + steps(random, hours, int(random.integers(1, 3)), 20, 120, 0)
    first, second = (quiet(random, hours) + saw(random, hours, 60, either(random, 0.1, 0.8)) for _ in range(2))
    return first + common, second + common


def own_steps(random: Random, hours: Array) -> tuple[Array, Array]:
    """Both steady but for steps of their own, at other times, up or down."""
    _, control = several_steps(random, hours)
    return quiet(random, hours) + steps(random, hours, 1, 20, 100, 0.5), control


def falling_control(random: Random, hours: Array) -> tuple[Array, Array]:
    """The candidate warms up logarithmically, the control falls by 50 to 150 MB."""
    _, values = log_growth(random, hours)
    return values, quiet(random, hours) + 200 - between(random, 50, 150) * hours / hours[-1]


def both_leak(random: Random, hours: Array) -> tuple[Array, Array]:
    """Both grow straight by the same 2 to 10 times the limit, over what they share: no answer but stable is wrong."""
    values, control = shared(random, hours)
    grown = per_hour(either(random, 2, 10), values, hours) * hours
    return values + grown, control + grown


HEALTHY: tuple[Pair, ...] = (shared, own_steps, falling_control)


def leak_beside_steps(random: Random, hours: Array) -> tuple[Array, Array]:
    """A straight leak of 1.1 to 4 times the limit; the control has steps of its own."""
    values = quiet(random, hours)
    _, control = several_steps(random, hours)
    return values + per_hour(either(random, 1.1, 4), values, hours) * hours, control


def late_leak_beside_warm_up(random: Random, hours: Array) -> tuple[Array, Array]:
    """A leak of 1.1 to 4 times the limit from the middle on; the control alone warms up, and steps."""
    values = quiet(random, hours)
    control = quiet(random, hours) + warm_up(hours, between(random, 50, 200), either(random, 2, 24))
    control += steps(random, hours, int(random.integers(0, 3)), 20, 100, 0)
    age = (hours - 0.5 * hours[-1]).clip(0)
    return values + per_hour(either(random, 1.1, 4), values, hours) * age, control


def leak_over_what_is_shared(random: Random, hours: Array) -> tuple[Array, Array]:
    """A straight leak of 1.1 to 4 times the limit over what candidate and control share."""
    values, control = shared(random, hours)
    return values + per_hour(either(random, 1.1, 4), values, hours) * hours, control


def leak_beside_late_rise(random: Random, hours: Array) -> tuple[Array, Array]:
    """A late leak; the control by itself rises by 50 to 150 MB within some hours of the last day."""
    values = quiet(random, hours)
    age = (hours - between(random, 44, 66)).clip(0)
    control = quiet(random, hours) + warm_up(age, between(random, 50, 150), between(random, 1, 8))
    late = (hours - between(random, 0.2, 0.66) * hours[-1]).clip(0)
    return values + per_hour(either(random, 1.1, 4), values, hours) * late, control


LEAKING: tuple[Pair, ...] = (
    leak_beside_steps, late_leak_beside_warm_up, leak_over_what_is_shared, leak_beside_late_rise, both_leak,
)  # fmt: skip
