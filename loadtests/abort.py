"""Whether a load or soak must end early: the plan's roll-back limits, held against windows as they come. Pure.

The limits are those of the plan's ``slo``, said once: ``roll_back_above`` (or ``roll_back_below``) held for as many
windows as the plan says, and ``roll_back_at_once_above``. A window with too few requests to tell says nothing alone; it
is judged together with those after it. Limits of what a load does not see (memory, CPU, failures in a row) are left to
those who see it. No data is not good: windows in which requests were offered and none completed are a break, too.
"""

from collections.abc import Iterator, Sequence

from decision.objectives import Objective, ObjectiveName, Slo
from loadtests.windows import Window, merge_all

SILENT_WINDOWS = 3
"""So many windows in a row with requests offered and none completed are a break."""

_REQUESTS_FOR_LATENCY = 20
_REQUESTS_FOR_AVAILABILITY = 100


def broken_limit(windows: Sequence[Window], slo: Slo) -> str | None:
    """Which limit the windows so far (oldest first) break at their end, in words; None: go on."""
    if _silent(windows):
        return f"no request was completed in the last {SILENT_WINDOWS} windows, though some were offered"
    for name, objective in slo.items():
        if broken := _broken_at_once(windows, name, objective) or _broken_for_long(windows, name, objective):
            return broken
    return None


def first_break(windows: Sequence[Window], slo: Slo) -> tuple[int, str] | None:
    """After how many windows a limit was first broken, and which; None when all held to the end."""
    for count in range(1, len(windows) + 1):
        if broken := broken_limit(windows[:count], slo):
            return count, broken
    return None


def _silent(windows: Sequence[Window]) -> bool:
    last = windows[-SILENT_WINDOWS:]
    return len(last) == SILENT_WINDOWS and all(w.offered > 0 and w.completed == 0 for w in last)


def _broken_at_once(windows: Sequence[Window], name: ObjectiveName, objective: Objective) -> str | None:
    """The newest windows that hold enough requests together, against the limit that acts at once."""
    limit = objective.roll_back_at_once_above
    if limit is None or name != "error-rate":
        return None
    group = next(_groups(windows, max(objective.at_least_requests, 1)), None)
    if group is None:
        return None
    errors, completed = sum(w.errors for w in group), sum(w.completed for w in group)
    if errors / completed <= limit:
        return None
    return f"error-rate is {errors / completed:.1%} in the last {completed} requests, the limit is {limit:.4g}"


def _broken_for_long(windows: Sequence[Window], name: ObjectiveName, objective: Objective) -> str | None:
    above, below = objective.roll_back_above, objective.roll_back_below
    needed = _requests_needed(name, above)
    if needed is None or (above is None and below is None):
        return None
    values = []
    for group, _ in zip(_groups(windows, needed), range(objective.windows), strict=False):
        value = _value(name, group)
        if not ((above is not None and value > above) or (below is not None and value < below)):
            return None
        values.append(value)
    if len(values) < objective.windows:
        return None
    limit = above if above is not None else below
    return f"{name} was {values[0]:.4g} and beyond its limit of {limit:g} for {objective.windows} windows"


def _requests_needed(name: ObjectiveName, above: float | None) -> int | None:
    """The fewest requests that can tell; None for what windows of a load do not show."""
    match name:
        case "error-rate":
            # With fewer requests a single error would be above the limit.
            return round(1 / above) if above else 1
        case "availability":
            return _REQUESTS_FOR_AVAILABILITY
        case "latency-p95" | "latency-mean":
            return _REQUESTS_FOR_LATENCY
        case "memory" | "cpu" | "consecutive-failures":
            return None


def _groups(windows: Sequence[Window], at_least: int) -> Iterator[list[Window]]:
    """Windows from the newest back, joined until each group has enough requests; older ones that have not are left."""
    group: list[Window] = []
    for window in reversed(windows):
        group.append(window)
        if sum(w.completed for w in group) >= at_least:
            yield group
            group = []


def _value(name: ObjectiveName, group: Sequence[Window]) -> float:
    completed, errors = sum(w.completed for w in group), sum(w.errors for w in group)
    if name == "error-rate":
        return errors / completed
    if name == "availability":
        return 1 - errors / completed
    merged = merge_all(group)
    if merged is None:
        return float("inf")
    value = merged.values_at(95)[0] if name == "latency-p95" else merged.mean_us()
    return value / 1000
