"""Watch one stage: collect requests and resources until there is something to decide again."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from processes.resources import Resources, read_resources
from processes.target import Target
from processes.wait import wait_for
from rollouts.feed import Feed
from rollouts.lease import LEASE_S
from rollouts.router import Router
from rollouts.samples import RequestSample
from rollouts.stage import Seen
from rollouts.triggers import CanaryWindow, failures_in_a_row, window_of

WINDOW_S = 5.0
WINDOW_REQUESTS = 100
"""A window goes on until it has so many canary requests: with fewer, one error would be above a limit of 1 %."""
LONGEST_WINDOW_S = 30.0
TICK_S = 0.4
CLOCK_STEP_S = 0.02
"""How far a router's log may be off: it adds times of whole milliseconds, read from a clock of its own."""

assert TICK_S * 2 < LEASE_S, "a slow tick must not let the lease lapse"


@dataclass
class StageWatch:
    """What has been seen since the stage began, and the window being filled. Made when its share holds."""

    router: Router
    feed: Feed
    candidate: Target
    memory_limit_bytes: float | None
    traffic_alive: Callable[[], bool]
    began_s: float = field(default_factory=time.monotonic)
    began_at_s: float = field(default_factory=time.time)
    requests: list[RequestSample] = field(default_factory=list)
    windows: list[CanaryWindow] = field(default_factory=list)
    _window: list[RequestSample] = field(default_factory=list)
    _window_began_s: float = field(default_factory=time.monotonic)
    _resources: Resources | None = None
    _failures: int = 0
    _last_request_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._resources = self._read()

    def next_tick(self) -> Seen:
        """Wait for a tick's time, keep the lease, and return all that was seen until now."""
        due_s = time.monotonic() + TICK_S
        wait_for(lambda: time.monotonic() >= due_s, what="the next tick", timeout_s=60)
        self.router.renew_lease()
        # What started before the stage was split by the share and salt of the stage before.
        first_s = self.began_at_s + CLOCK_STEP_S
        new = [request for request in self.feed.new_requests() if request.at_s >= first_s]
        now_s = time.monotonic()
        if new:
            self._last_request_s = now_s
        self.requests += new
        self._window += new
        self._failures = failures_in_a_row(new, self._failures)
        age_s, canary = now_s - self._window_began_s, sum(r.backend == "canary" for r in self._window)
        if age_s >= WINDOW_S and (canary >= WINDOW_REQUESTS or age_s >= LONGEST_WINDOW_S):
            self._close_window(now_s)
        return Seen(
            requests=self.requests,
            windows=self.windows,
            failures_in_a_row=self._failures,
            elapsed_s=now_s - self.began_s,
            silent_s=now_s - self._last_request_s,
            traffic_alive=self.traffic_alive(),
        )

    def _close_window(self, now_s: float) -> None:
        before, after = self._resources, self._read()
        cpu = None
        if before is not None and after is not None and before.created_at_s == after.created_at_s:
            cpu = (after.cpu_s - before.cpu_s) / (now_s - self._window_began_s)
        memory = after.rss_bytes / self.memory_limit_bytes if after and self.memory_limit_bytes else None
        self.windows.append(window_of(self._window, memory=memory, cpu=cpu))
        self._window, self._window_began_s, self._resources = [], now_s, after

    def _read(self) -> Resources | None:
        return None if self.candidate.pid is None else read_resources(self.candidate.pid)
