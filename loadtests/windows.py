"""Windows of a load as the generator wrote them, and their exact sums."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence.results import LatencySummary
from loadtests.latencies import Latencies
from processes.errors import CollectError

COUNTS = ("offered", "started", "late", "finished", "completed", "errors", "rate_limited", "expected_4xx")

SERVED_AT_LEAST = 0.5
"""Where less than this share of the completed requests was really served, the target was not under the load."""

_OTHERS = ("error_classes", "generator_cpu", "generator_rss_bytes", "clock_offset_s", "workers", "due_until_s")


@dataclass(frozen=True)
class Window:
    """Counts of one window and a histogram of latencies in microseconds per endpoint.

    ``sequence`` counts from 0 in every run of the generator. ``started_at_s`` and ``finished_at_s`` are the epoch time
    when that run began plus seconds of a clock that never jumps; ``clock_offset_s`` is how far the wall clock has moved
    against it since. ``offered``, ``started``, ``late`` and ``finished`` count arrivals: one request each with
    journeys, one execution of a task with an ordinary locustfile. The other counts are of requests. ``due_until_s``:
    seconds since the beginning until which arrivals were due. CPU is that of the busiest worker, in cores; memory that
    of all.
    """

    sequence: int
    started_at_s: float
    finished_at_s: float
    offered: int
    started: int
    late: int
    finished: int
    completed: int
    errors: int
    rate_limited: int
    expected_4xx: int
    error_classes: dict[str, int]
    generator_cpu: float
    generator_rss_bytes: int
    clock_offset_s: float
    workers: int
    due_until_s: float
    histograms: dict[str, str] = field(repr=False)

    @property
    def duration_s(self) -> float:
        """How long the window was."""
        return self.finished_at_s - self.started_at_s

    @property
    def under_load(self) -> bool:
        """Whether at least nine of ten offered arrivals were started, and half of what completed was really served."""
        served = self.completed - self.errors - self.rate_limited
        return self.held and served > 0 and served >= SERVED_AT_LEAST * self.completed

    @property
    def held(self) -> bool:
        """Whether at least nine of ten offered arrivals were started."""
        return self.started >= 0.9 * self.offered


@dataclass(frozen=True)
class Totals:
    """Sums over windows."""

    offered: int
    started: int
    late: int
    finished: int
    completed: int
    errors: int
    rate_limited: int
    expected_4xx: int
    duration_s: float
    generator_cpu: float | None
    error_classes: dict[str, int]
    latency: LatencySummary
    by_endpoint: dict[str, LatencySummary]

    @property
    def error_rate(self) -> float | None:
        """Errors of completed requests; None without any."""
        return self.errors / self.completed if self.completed else None

    @property
    def served_rate(self) -> float | None:
        """Completed requests that were neither an error nor refused with 429, of all completed; None without any."""
        return (self.completed - self.errors - self.rate_limited) / self.completed if self.completed else None

    @property
    def held_rate(self) -> float | None:
        """Arrivals that were started, and not late by the generator's own fault, of those offered."""
        return min(1.0, max(0, self.started - self.late) / self.offered) if self.offered else None


def read_windows(path: Path) -> list[Window]:
    """The windows of a file that may still be written: an unfinished last line does not count. Raises CollectError."""
    if not path.exists():
        return []
    return parse_windows(path.read_bytes(), str(path))


def parse_windows(content: bytes, name: str) -> list[Window]:
    """The windows of JSON lines; what follows the last line end does not count. Raises CollectError."""
    lines = content.decode().split("\n")[:-1]
    return [_window(line, name, number)[0] for number, line in enumerate(lines, start=1)]


def parse_numbered_windows(content: bytes, name: str) -> list[tuple[int, Window]]:
    """The same of lines that name the segment of a soak to which the window belongs. Raises CollectError."""
    lines = content.decode().split("\n")[:-1]
    windows = [_window(line, name, number) for number, line in enumerate(lines, start=1)]
    try:
        return [(int(entry["segment"]), window) for window, entry in windows]
    except (ValueError, KeyError, TypeError) as error:
        raise CollectError(f"{name}: windows without a segment: {error}") from error


def _window(line: str, name: str, number: int) -> tuple[Window, Mapping[str, Any]]:
    try:
        entry = json.loads(line)
        return Window(
            sequence=entry["sequence"],
            started_at_s=entry["started_at"],
            finished_at_s=entry["finished_at"],
            histograms=entry["histograms"],
            **{name: entry[name] for name in (*COUNTS, *_OTHERS)},
        ), entry
    except (ValueError, KeyError, TypeError) as error:
        raise CollectError(f"{name}:{number}: not a window of a load: {error}") from error


def sum_windows(windows: Sequence[Window]) -> Totals:
    """Sum counts and merge histograms exactly; percentiles are never averaged."""
    merged: dict[str, Latencies] = {}
    classes: Counter[str] = Counter()
    for window in windows:
        classes.update(window.error_classes)
        for name, encoded in window.histograms.items():
            if name not in merged:
                merged[name] = Latencies()
            merged[name].add(encoded)
    duration_s = sum(w.duration_s for w in windows)
    return Totals(
        **{name: sum(getattr(w, name) for w in windows) for name in COUNTS},
        duration_s=duration_s,
        generator_cpu=sum(w.generator_cpu * w.duration_s for w in windows) / duration_s if duration_s else None,
        error_classes=dict(classes.most_common(20)),
        latency=summarize(list(merged.values())),
        by_endpoint={name: summarize([latencies]) for name, latencies in sorted(merged.items())},
    )


def merge_all(windows: Sequence[Window]) -> Latencies | None:
    """The latencies of all endpoints of all windows; None without a value."""
    merged = Latencies()
    for window in windows:
        for encoded in window.histograms.values():
            merged.add(encoded)
    return merged if merged.count else None


def summarize(latencies: Sequence[Latencies]) -> LatencySummary:
    """Figures in milliseconds of latencies together; all None without a value."""
    total = Latencies()
    for one in latencies:
        total.merge(one)
    if not total.count:
        return LatencySummary(count=0, mean_ms=None, p50_ms=None, p95_ms=None, p99_ms=None, max_ms=None)
    p50, p95, p99 = (value / 1000 for value in total.values_at(50, 95, 99))
    return LatencySummary(
        count=total.count,
        mean_ms=round(total.mean_us() / 1000, 3),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=total.max_us() / 1000,
    )
