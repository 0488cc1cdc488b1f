"""Windows of a load as the generator wrote them, and their exact sums."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hdrh.histogram import HdrHistogram

from evidence.results import LatencySummary
from processes.errors import CollectError

_COUNTS = ("offered", "started", "late", "completed", "errors", "rate_limited", "expected_4xx")


@dataclass(frozen=True)
class Window:
    """Counts of one window and a histogram of latencies in microseconds per endpoint. Times are epoch seconds.

    ``sequence`` counts from 0 in every run of the generator. Times are those of the wall clock when it began, and of a
    clock that never jumps from there on; ``clock_offset_s``: how far the wall clock has moved against it meanwhile.
    """

    sequence: int
    started_at_s: float
    finished_at_s: float
    offered: int
    started: int
    late: int
    completed: int
    errors: int
    rate_limited: int
    expected_4xx: int
    error_classes: dict[str, int]
    generator_cpu: float
    generator_rss_bytes: int
    clock_offset_s: float
    histograms: dict[str, str] = field(repr=False)

    @property
    def duration_s(self) -> float:
        """How long the window was."""
        return self.finished_at_s - self.started_at_s

    @property
    def under_load(self) -> bool:
        """Whether at least nine of ten offered requests were started and some completed."""
        return self.completed > 0 and self.started >= 0.9 * self.offered


@dataclass(frozen=True)
class Totals:
    """Sums over windows."""

    offered: int
    started: int
    late: int
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
    def held_rate(self) -> float | None:
        """Requests that were started, and not late by the generator's own fault, of those offered."""
        return min(1.0, max(0, self.started - self.late) / self.offered) if self.offered else None


def read_windows(path: Path) -> list[Window]:
    """The windows of a file that may still be written: an unfinished last line does not count. Raises CollectError."""
    if not path.exists():
        return []
    return parse_windows(path.read_bytes(), str(path))


def parse_windows(content: bytes, name: str) -> list[Window]:
    """The windows of JSON lines; what follows the last line end does not count. Raises CollectError."""
    lines = content.decode().split("\n")[:-1]
    return [_window(line, name, number) for number, line in enumerate(lines, start=1)]


def _window(line: str, name: str, number: int) -> Window:
    try:
        entry = json.loads(line)
        return Window(
            sequence=entry["sequence"],
            started_at_s=entry["started_at"],
            finished_at_s=entry["finished_at"],
            **{name: entry[name] for name in _COUNTS},
            error_classes=entry["error_classes"],
            generator_cpu=entry["generator_cpu"],
            generator_rss_bytes=entry["generator_rss_bytes"],
            clock_offset_s=entry["clock_offset_s"],
            histograms=entry["histograms"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CollectError(f"{name}:{number}: not a window of a load: {error}") from error


def sum_windows(windows: Sequence[Window]) -> Totals:
    """Sum counts and merge histograms exactly; percentiles are never averaged."""
    merged: dict[str, Any] = {}
    classes: Counter[str] = Counter()
    for window in windows:
        classes.update(window.error_classes)
        for name, encoded in window.histograms.items():
            histogram = HdrHistogram.decode(encoded.encode())
            if name in merged:
                merged[name].add(histogram)
            else:
                merged[name] = histogram
    duration_s = sum(w.duration_s for w in windows)
    return Totals(
        **{name: sum(getattr(w, name) for w in windows) for name in _COUNTS},
        duration_s=duration_s,
        generator_cpu=sum(w.generator_cpu * w.duration_s for w in windows) / duration_s if duration_s else None,
        error_classes=dict(classes.most_common(20)),
        latency=summarize(list(merged.values())),
        by_endpoint={name: summarize([histogram]) for name, histogram in sorted(merged.items())},
    )


def summarize(histograms: Sequence[Any]) -> LatencySummary:
    """Percentiles in milliseconds of HDR histograms in microseconds, merged; all None without a value."""
    total = None
    for histogram in histograms:
        if total is None:
            total = HdrHistogram.decode(histogram.encode())
        else:
            total.add(histogram)
    if total is None or not total.get_total_count():
        return LatencySummary(count=0, mean_ms=None, p50_ms=None, p95_ms=None, p99_ms=None, max_ms=None)
    p50, p95, p99 = (total.get_value_at_percentile(p) / 1000 for p in (50, 95, 99))
    return LatencySummary(
        count=total.get_total_count(),
        mean_ms=round(total.get_mean_value() / 1000, 3),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=total.get_max_value() / 1000,
    )
