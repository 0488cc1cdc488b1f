"""Which time of a soak was under load, and why the rest was not. Pure: windows and journal in, intervals out."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

from evidence.soak_result import Gap, LostTime
from loadtests.soak_journal import Entry
from loadtests.soak_timeline import Timeline, suspended_s, timeline_of
from loadtests.windows import Window

BETWEEN_SEGMENTS = "between two segments"
RATE_NOT_HELD = "the offered rate was not held"
NOT_SERVED = "too few requests were served"
KILLED = "the soak was interrupted (runner killed)"
RESTARTED = "the machine was restarted"
SUSPENDED = "the machine was suspended"
TARGET_ENDED = "the target ended and was started again"
CONTROL_ENDED = "the control ended and was started again"
STOPPED = "stopped by a person"
TERMINATED = "the runner was told to end (SIGTERM)"
STOOD_STILL = "the soak's runner stood still"
NO_WINDOW = "a window is missing"

GAPS_AT_MOST = 200
_SMALLEST_S = 1e-3
"""Differences below are rounding."""


@dataclass(frozen=True)
class Segment:
    """The windows that one run of the generator wrote, oldest first."""

    number: int
    windows: Sequence[Window]


@dataclass(frozen=True)
class Placed:
    """A window whose times are those of the soak's clock, and its segment.

    ``orphaned``: the target was not seen alive any more. Its errors count; it is no time under load.
    """

    segment: int
    window: Window
    orphaned: bool

    @property
    def under_load(self) -> bool:
        """Whether its time counts."""
        return self.window.under_load and not self.orphaned


def place(
    segments: Sequence[Segment],
    entries: Sequence[Entry],
    sampled_s: Sequence[float],
    *,
    placed_by: str = "segment-placed",
) -> list[Placed]:
    """The windows that count, on the soak's clock, oldest first. They never overlap, and none is longer than it was.

    ``sampled_s`` are the soak's times of the samples. A killed runner's target ends while its load is still draining:
    windows after that runner's last sign of life show its death, not the target's, and do not count.
    ``placed_by`` is the event that was written just after a segment's first window.
    """
    timeline = timeline_of(entries)
    placed_at = {int(e.detail["segment"]): e for e in entries if e.event == placed_by}
    began_at = {int(e.detail["segment"]): e for e in entries if e.event == "segment-began"}
    alive_until_s = _alive_until_s(entries) if placed_by == "segment-placed" else {}
    result: list[Placed] = []
    end_s = float("-inf")
    for segment in segments:
        entry = placed_at.get(segment.number) or began_at.get(segment.number)
        until_s = _attended_until_s(segment.number, entries, timeline, sampled_s)
        later_s = 0.0
        for window in segment.windows:
            at_s = _start_of(window, segment, entry, segment.number in placed_at, timeline)
            later_s = max(later_s, end_s - at_s)
            at_s += later_s
            if at_s + window.duration_s > until_s:
                break
            end_s = at_s + window.duration_s
            moved = replace(window, started_at_s=at_s, finished_at_s=end_s)
            result.append(Placed(segment.number, moved, orphaned=end_s > alive_until_s.get(segment.number, end_s)))
    return result


def _attended_until_s(segment: int, entries: Sequence[Entry], timeline: Timeline, sampled_s: Sequence[float]) -> float:
    """Until when somebody looked after a segment: for one that its runner saw end, always."""
    began = _index(entries, segment)
    if began < 0 or any(e.event == "segment-ended" and e.detail["segment"] == segment for e in entries[began:]):
        return float("inf")
    later = [i for i, e in enumerate(entries) if i > began and e.event == "runner-began"]
    own = entries[began : later[0] if later else len(entries)]
    next_s = timeline.at(entries[later[0]].clocks) if later else float("inf")
    return max([timeline.at(own[-1].clocks), *(at_s for at_s in sampled_s if at_s < next_s)])


def _alive_until_s(entries: Sequence[Entry]) -> dict[int, float]:
    """When the target was last seen alive in the segments in which it ended."""
    seen: dict[int, float] = {}
    segment = 0
    for entry in entries:
        if entry.event == "segment-began":
            segment = int(entry.detail["segment"])
        elif entry.event == "target-ended" and entry.detail.get("alive_s") is not None:
            seen[segment] = float(entry.detail["alive_s"])
    return seen


def _start_of(window: Window, segment: Segment, entry: Entry | None, exact: bool, timeline: Timeline) -> float:
    """A window's start on the soak's clock.

    Its own times are the wall clock when the generator began and the monotonic clock from there on. How far these two
    were apart then follows from a reading of both, and from how far the first window says they have moved since.
    """
    if entry is None:
        return window.started_at_s
    moved_s = segment.windows[0].clock_offset_s if exact else 0.0
    wall_ahead_s = entry.clocks.wall_s - entry.clocks.monotonic_s - moved_s
    return timeline.at_monotonic(entry.clocks.boot_id, window.started_at_s - wall_ahead_s)


def under_load_s(placed: Sequence[Placed]) -> float:
    """Seconds under load."""
    return sum(p.window.duration_s for p in placed if p.under_load)


def span_s(placed: Sequence[Placed]) -> float:
    """Seconds from the first to the last request."""
    return placed[-1].window.finished_at_s - placed[0].window.started_at_s if placed else 0.0


def find_gaps(placed: Sequence[Placed], entries: Sequence[Entry], *, control: bool = False) -> list[Gap]:
    """All time between the first and the last window that was not under load, each with its cause.

    ``control``: these are the control's windows. What happened to it alone is no cause of other gaps.
    """
    intervals: list[tuple[float, float, str]] = []
    for before, after in zip([None, *placed], placed, strict=False):
        started_s, finished_s = after.window.started_at_s, after.window.finished_at_s
        if before is not None and started_s - before.window.finished_at_s > _SMALLEST_S:
            cause = _cause(before, after, entries, control)
            intervals.append((before.window.finished_at_s, started_s, cause))
        if not after.under_load:
            short = NOT_SERVED if after.window.held else RATE_NOT_HELD
            intervals.append((started_s, finished_s, TARGET_ENDED if after.orphaned else short))
    return [
        Gap(started_at=_time(started_s), finished_at=_time(finished_s), cause=cause)
        for started_s, finished_s, cause in _merged(intervals)
    ]


def _merged(intervals: Sequence[tuple[float, float, str]]) -> Iterator[tuple[float, float, str]]:
    current: tuple[float, float, str] | None = None
    for interval in intervals:
        if current and interval[2] == current[2] and interval[0] - current[1] <= _SMALLEST_S:
            current = (current[0], interval[1], current[2])
            continue
        if current:
            yield current
        current = interval
    if current:
        yield current


def _cause(before: Placed, after: Placed, entries: Sequence[Entry], control: bool) -> str:
    """All that the journal knows between two windows, in its order."""
    if before.segment == after.segment:
        began = _index(entries, before.segment)
        ended = next((i for i, e in enumerate(entries) if i > began and e.event == "segment-ended"), len(entries) - 1)
        within = entries[max(began, 0) : ended + 1]
        return SUSPENDED if any(suspended_s(a.clocks, b.clocks) for a, b in pairwise(within)) else NO_WINDOW
    first, last = _index(entries, before.segment), _index(entries, after.segment)
    causes = dict.fromkeys(causes_between(entries[max(first, 0) : last + 1], control))
    return "; ".join(causes) or BETWEEN_SEGMENTS


def causes_between(entries: Sequence[Entry], control: bool) -> Iterator[str]:
    """Why there was no load between the first and the last of these entries, oldest first."""
    runs = bool(entries)
    for before, entry in pairwise(entries):
        detail = entry.detail
        restarted = before.clocks.boot_id != entry.clocks.boot_id
        if restarted:
            yield RESTARTED
        if suspended_s(before.clocks, entry.clocks):
            yield SUSPENDED
        match entry.event:
            case "runner-began":
                if runs and not restarted:
                    yield KILLED
                runs = True
            case "runner-stood-still":
                yield STOOD_STILL
            case "runner-ended":
                runs = False
                yield str(detail["why"])
            case "target-ended" if detail["role"] == "target" or control:
                yield TARGET_ENDED if detail["role"] == "target" else CONTROL_ENDED
            case "segment-ended" if detail["cause"]:
                yield str(detail["cause"])
            case "control-ended" if control:
                yield str(detail["cause"])


def _index(entries: Sequence[Entry], segment: int) -> int:
    """Where the segment began in the journal; -1 when that is not there."""
    return next((i for i, e in enumerate(entries) if e.event == "segment-began" and e.detail["segment"] == segment), -1)


def _time(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def seconds_of(gap: Gap) -> float:
    """How long a gap was."""
    return (gap.finished_at - gap.started_at).total_seconds()


def lost_time(gaps: Sequence[Gap]) -> list[LostTime]:
    """The gaps by cause, the longest together first."""
    by_cause: Mapping[str, list[Gap]] = defaultdict(list)
    for gap in gaps:
        by_cause[gap.cause].append(gap)
    lost = [
        LostTime(cause=cause, count=len(of), seconds=round(sum(map(seconds_of, of)), 3))
        for cause, of in by_cause.items()
    ]
    return sorted(lost, key=lambda entry: (-entry.seconds, entry.cause))


def longest_gaps(gaps: Sequence[Gap]) -> list[Gap]:
    """At most 200 gaps, the longest, in their order; ``lost_time`` has all."""
    kept = sorted(range(len(gaps)), key=lambda i: -seconds_of(gaps[i]))[:GAPS_AT_MOST]
    return [gaps[i] for i in sorted(kept)]
