"""The soak's own clock, on which every window and sample is placed, and what the machine's clocks did meanwhile. Pure.

Within one start of the machine it is the wall clock at the journal's first entry, and the clock that counts since the
machine's start from there on: a wall clock that is set moves nothing. After a restart of the machine it goes on with
the wall clock, which alone went on meanwhile, but never before what was already measured.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loadtests.soak_journal import Entry
from processes.clocks import Clocks

NOTICEABLE_S = 1.0
"""Clocks that differ by less did not jump: they are read one after the other, and slewed."""


@dataclass(frozen=True)
class Anchor:
    """Where one start of the machine lies: its clock said ``boot_s`` at the soak's time ``at_s``.

    ``stood_still``: what was suspended so far by the monotonic clock's readings, as (reading, seconds), oldest first.
    """

    at_s: float
    boot_s: float
    stood_still: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Jump:
    """The wall clock was set at (about) the soak's time ``at_s``, by so many seconds forward; below 0: backward."""

    at_s: float
    by_s: float


@dataclass(frozen=True)
class Timeline:
    """The soak's clock, by the machine's starts."""

    anchors: Mapping[str, Anchor]

    def at(self, clocks: Clocks) -> float:
        """The soak's time of a reading. Raises KeyError for a start of the machine that the journal does not know."""
        anchor = self.anchors[clocks.boot_id]
        return anchor.at_s + clocks.boot_s - anchor.boot_s

    def at_monotonic(self, boot_id: str, monotonic_s: float) -> float:
        """The soak's time when the monotonic clock of that start of the machine read so."""
        anchor = self.anchors[boot_id]
        index = bisect_right(anchor.stood_still, (monotonic_s, float("inf"))) - 1
        return anchor.at_s + monotonic_s + anchor.stood_still[max(index, 0)][1] - anchor.boot_s


def timeline_of(entries: Sequence[Entry]) -> Timeline:
    """The soak's clock as its journal determines it."""
    anchors: dict[str, Anchor] = {}
    end_s = float("-inf")
    for entry in entries:
        clocks = entry.clocks
        still_s = clocks.boot_s - clocks.monotonic_s
        anchor = anchors.get(clocks.boot_id)
        if anchor is None:
            at_s = max(clocks.wall_s, end_s, float(entry.detail.get("not_before_s") or end_s))
            anchor = Anchor(at_s, clocks.boot_s, ((clocks.monotonic_s, still_s),))
        elif still_s - anchor.stood_still[-1][1] >= NOTICEABLE_S:
            anchor = Anchor(anchor.at_s, anchor.boot_s, (*anchor.stood_still, (clocks.monotonic_s, still_s)))
        anchors[clocks.boot_id] = anchor
        end_s = max(end_s, anchor.at_s + clocks.boot_s - anchor.boot_s)
    return Timeline(anchors)


def jumps_of(entries: Sequence[Entry]) -> list[Jump]:
    """When the wall clock was set while the machine ran, or had been set back when the machine started."""
    timeline = timeline_of(entries)
    jumps = []
    for before, after in pairwise(entries):
        if before.clocks.boot_id == after.clocks.boot_id:
            by_s = (after.clocks.wall_s - before.clocks.wall_s) - (after.clocks.boot_s - before.clocks.boot_s)
        else:
            by_s = min(0.0, after.clocks.wall_s - timeline.at(after.clocks))
        if abs(by_s) >= NOTICEABLE_S:
            jumps.append(Jump(timeline.at(after.clocks), by_s))
    return jumps


def suspended_s(before: Clocks, after: Clocks) -> float:
    """How long the machine was suspended between two readings of one start of it; 0 when not noticeably."""
    if before.boot_id != after.boot_id:
        return 0.0
    seconds = (after.boot_s - before.boot_s) - (after.monotonic_s - before.monotonic_s)
    return seconds if seconds >= NOTICEABLE_S else 0.0


def clock_moved(before: Clocks, after: Clocks) -> bool:
    """Whether the wall clock was set, or the machine suspended, between two readings of one start of the machine."""
    by_s = (after.wall_s - before.wall_s) - (after.boot_s - before.boot_s)
    return abs(by_s) >= NOTICEABLE_S or suspended_s(before, after) > 0
