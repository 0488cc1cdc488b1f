"""Windows of a canary's requests and resources, as the hard limits read them."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from rollouts.latency import quantile
from rollouts.samples import UNAVAILABLE, RequestSample
from rollouts.triggers import WINDOW_S, RequestWindow, ResourceWindow

_KEPT = 20


class CanaryWindows:
    """Windows that close when they are 10 s long *and* saw enough requests to say something.

    At a small share a window therefore lasts longer, instead of never saying anything.
    """

    def __init__(self, requests_needed: int, memory_limit_bytes: int) -> None:
        self.closed: deque[RequestWindow] = deque(maxlen=_KEPT)
        self.resources: deque[ResourceWindow] = deque(maxlen=_KEPT)
        self.consecutive_failures = 0
        self._needed = requests_needed
        self._memory_limit_bytes = memory_limit_bytes
        self._open: list[RequestSample] = []
        self._opened_at_s: float | None = None
        self._readings: list[tuple[float, int, float]] = []

    def add_requests(self, canary: Sequence[RequestSample]) -> None:
        """Add the canary's new requests in order of their end."""
        for sample in canary:
            if self._opened_at_s is None:
                self._opened_at_s = sample.at_s
            self._open.append(sample)
            self.consecutive_failures = self.consecutive_failures + 1 if sample.is_error else 0
            if len(self._open) >= self._needed and sample.at_s - self._opened_at_s >= WINDOW_S:
                self.closed.append(self.open_window())
                self._open, self._opened_at_s = [], None

    def open_window(self) -> RequestWindow:
        """The window that is still open."""
        return _window(self._open)

    def add_reading(self, at_s: float, rss_bytes: int, cpu_s: float) -> None:
        """Add one reading of the canary's process; ``cpu_s`` is its CPU time since it started."""
        if self._readings and cpu_s < self._readings[-1][2]:
            self._readings = []  # another process: its CPU time starts anew
        self._readings.append((at_s, rss_bytes, cpu_s))
        first_at_s, _, first_cpu_s = self._readings[0]
        if at_s - first_at_s >= WINDOW_S:
            memory = float(np.mean([rss for _, rss, _ in self._readings])) / self._memory_limit_bytes
            self.resources.append(ResourceWindow(memory, (cpu_s - first_cpu_s) / (at_s - first_at_s)))
            self._readings = self._readings[-1:]


def _window(samples: Sequence[RequestSample]) -> RequestWindow:
    latencies = np.array([sample.latency_ms for sample in samples if not sample.is_error])
    return RequestWindow(
        requests=len(samples),
        errors=sum(sample.is_error for sample in samples),
        unavailable=sum(sample.status in UNAVAILABLE for sample in samples),
        p95_ms=quantile(latencies, 0.95) if len(latencies) else None,
    )
