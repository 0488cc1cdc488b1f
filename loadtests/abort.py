"""Whether a load or soak must end early: the plan's roll-back limits, held against windows as they come. Pure.

The limits are those of the plan's ``slo``, said once: ``roll_back_above`` (or ``roll_back_below``) held for as many
windows as the plan says, and ``roll_back_at_once_above``. A window with too few requests to tell says nothing alone; it
is judged together with those after it. Limits of what a load does not see (memory, CPU, failures in a row) are left to
those who see it. No data is not good: a silence in which requests were offered and none completed is a break, too, once
it is longer than an answer may take.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from decision.objectives import Objective, ObjectiveName, Slo
from loadtests.settings import ANSWER_WITHIN_S
from loadtests.windows import Window, merge_all

SILENT_WINDOWS = 3
"""So many windows with requests offered, and none completed since, are a break after the time that an answer has."""

_REQUESTS_FOR_LATENCY = 20
_REQUESTS_FOR_AVAILABILITY = 100


def broken_limit(windows: Sequence[Window], slo: Slo) -> str | None:
    """Which limit the windows so far (oldest first) break at their end, in words; None: go on."""
    seen = _Seen()
    for window in windows:
        seen.add(window)
    return seen.silence() or _broken(seen, slo)


def first_break(windows: Sequence[Window], slo: Slo) -> tuple[int, str] | None:
    """After how many windows a limit was first broken, and which; None when all held to the end.

    What ``broken_limit`` would have said after each window, in one pass.
    """
    seen = _Seen()
    for count, window in enumerate(windows, start=1):
        seen.add(window)
        # A window without an answer can break the silence only: it adds nothing to what was answered before it.
        if broken := seen.silence() or (_broken(seen, slo) if window.completed else None):
            return count, broken
    return None


@dataclass
class _Seen:
    """Windows so far: those with answers, with running sums of requests and errors, and the silence since the last."""

    answered: list[Window] = field(default_factory=list)
    completed: list[int] = field(default_factory=lambda: [0])
    errors: list[int] = field(default_factory=lambda: [0])
    _silent_windows: int = 0
    _silent_s: float = 0.0

    def add(self, window: Window) -> None:
        """One more window."""
        if window.completed:
            self.answered.append(window)
            self.completed.append(self.completed[-1] + window.completed)
            self.errors.append(self.errors[-1] + window.errors)
            self._silent_windows, self._silent_s = 0, 0.0
            return
        if self._silent_windows:
            self._silent_s += window.duration_s
        self._silent_windows += window.offered > 0

    def silence(self) -> str | None:
        """What was offered in the first silent window has had its time since that window's end."""
        if self._silent_windows < SILENT_WINDOWS or self._silent_s <= ANSWER_WITHIN_S:
            return None
        return f"no request was completed for {ANSWER_WITHIN_S:g} s and longer, though some were offered"

    def groups(self, at_least: int) -> Iterator[tuple[int, int]]:
        """Windows from the newest back, joined until each group has enough requests; older ones are left.

        Each as its first index and that after its last, in ``answered``.
        """
        end = len(self.answered)
        while (enough := self.completed[end] - at_least) >= 0:
            start = bisect_right(self.completed, enough, 0, end) - 1
            yield start, end
            end = start

    def counts(self, group: tuple[int, int]) -> tuple[int, int]:
        """Completed requests and errors of a group."""
        start, end = group
        return self.completed[end] - self.completed[start], self.errors[end] - self.errors[start]


def _broken(seen: _Seen, slo: Slo) -> str | None:
    for name, objective in slo.items():
        if broken := _broken_at_once(seen, name, objective) or _broken_for_long(seen, name, objective):
            return broken
    return None


def _broken_at_once(seen: _Seen, name: ObjectiveName, objective: Objective) -> str | None:
    """The newest windows that hold enough requests together, against the limit that acts at once."""
    limit = objective.roll_back_at_once_above
    if limit is None or name != "error-rate":
        return None
    group = next(seen.groups(max(objective.at_least_requests, 1)), None)
    if group is None:
        return None
    completed, errors = seen.counts(group)
    if errors / completed <= limit:
        return None
    return f"error-rate is {errors / completed:.1%} in the last {completed} requests, the limit is {limit:.4g}"


def _broken_for_long(seen: _Seen, name: ObjectiveName, objective: Objective) -> str | None:
    above, below = objective.roll_back_above, objective.roll_back_below
    needed = _requests_needed(name, above)
    if needed is None or (above is None and below is None):
        return None
    values: list[float] = []
    for group in seen.groups(needed):
        value = _value(seen, name, group)
        if not ((above is not None and value > above) or (below is not None and value < below)):
            return None
        values.append(value)
        if len(values) == objective.windows:
            break
    if len(values) < objective.windows:
        return None
    limit = above if above is not None else below
    return f"{name} was {values[0]:.4g} and beyond its limit of {limit:g} for {objective.windows} windows"


def _requests_needed(name: ObjectiveName, above: float | None) -> int | None:
    """The fewest requests that can tell; None for what windows of a load do not show."""
    match name:
        case "error-rate":
            # With fewer requests a single error would be above the limit.
            return max(1, round(1 / above)) if above else 1
        case "availability":
            return _REQUESTS_FOR_AVAILABILITY
        case "latency-p95" | "latency-mean":
            return _REQUESTS_FOR_LATENCY
        case "memory" | "cpu" | "consecutive-failures":
            return None


def _value(seen: _Seen, name: ObjectiveName, group: tuple[int, int]) -> float:
    completed, errors = seen.counts(group)
    if name == "error-rate":
        return errors / completed
    if name == "availability":
        return 1 - errors / completed
    merged = merge_all(seen.answered[slice(*group)])
    if merged is None:
        return float("inf")
    value = merged.values_at(95)[0] if name == "latency-p95" else merged.mean_us()
    return value / 1000
