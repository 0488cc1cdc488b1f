"""The window that a generator is filling: counts, error classes and one HDR histogram per name of an endpoint."""

from collections import Counter
from typing import Any

from hdrh.histogram import HdrHistogram

from loadtests.windows import COUNTS

HIGHEST_US = 120_000_000
SIGNIFICANT_DIGITS = 3

OTHER = "other"
"""Where requests go whose name is one too many: a locustfile that asks for unique URLs must not fill the memory."""

NAMES_AT_MOST = 50
_CLASSES_AT_MOST = 100
_CLASSES_KEPT = 20


class WindowLog:
    """Counts of one window. ``names`` are those known so far in this run."""

    def __init__(self, started_s: float, names: set[str]) -> None:
        self.started_s = started_s
        self.counts: Counter[str] = Counter()
        self._names = names
        self._error_classes: Counter[str] = Counter()
        self._histograms: dict[str, Any] = {}

    def good(self, name: str, latency_s: float, status: int) -> None:
        """A request completed as it should; an expected 4xx is counted apart."""
        self.counts["expected_4xx"] += 400 <= status < 500
        self._complete(name, latency_s)

    def limited(self, name: str, latency_s: float) -> None:
        """A request was answered with 429."""
        self.counts["rate_limited"] += 1
        self._complete(name, latency_s)

    def bad(self, name: str, latency_s: float, why: str) -> None:
        """A request failed."""
        self._error(f"{self._bounded(name)}: {why}")
        self._complete(name, latency_s)

    def broken(self, why: str) -> None:
        """A task broke outside of its requests: an error without a latency."""
        self._error(why)
        self.counts["completed"] += 1

    def _error(self, error_class: str) -> None:
        self.counts["errors"] += 1
        error_class = error_class[:200]
        if error_class not in self._error_classes and len(self._error_classes) >= _CLASSES_AT_MOST:
            error_class = OTHER
        self._error_classes[error_class] += 1

    def _complete(self, name: str, latency_s: float) -> None:
        self.counts["completed"] += 1
        name = self._bounded(name)
        histogram = self._histograms.get(name)
        if histogram is None:
            histogram = self._histograms[name] = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
        histogram.record_value(min(max(round(latency_s * 1e6), 1), HIGHEST_US))

    def _bounded(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= NAMES_AT_MOST:
                return OTHER
            self._names.add(name)
        return name

    def entry(self, sequence: int, finished_s: float, due_until_s: float) -> dict[str, Any]:
        """The window as JSON, without what only its process knows (offered arrivals, clocks, CPU and memory)."""
        return {
            "sequence": sequence,
            "from_s": self.started_s,
            "to_s": finished_s,
            "due_until_s": due_until_s,
            **{name: self.counts[name] for name in COUNTS if name != "offered"},
            "error_classes": dict(self._error_classes.most_common(_CLASSES_KEPT)),
            "histograms": {name: histogram.encode().decode() for name, histogram in self._histograms.items()},
        }
