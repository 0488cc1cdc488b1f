"""Take all traffic to stable, and measure how long that took."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from processes.errors import ProcessError
from processes.wait import wait_for
from rollouts.counters import Kept, requests_in
from rollouts.feed import Feed
from rollouts.router import Router
from rollouts.samples import RequestSample

STABLE_REQUESTS_AFTER = 50
WITHIN_S = 20.0


@dataclass(frozen=True)
class RolledBack:
    """The way back: epoch times of the decision and of the router's confirmation, and what was seen afterwards.

    ``settled`` is False when too little traffic came afterwards to tell. Counters do not tell when a request started.
    """

    decided_at_s: float
    confirmed_at_s: float
    settled: bool
    requests: Kept

    @property
    def last_canary_ms(self) -> float | None:
        """From the decision until the router confirmed it, or the last canary request started: the later of both."""
        if not self.settled:
            return None
        canary = (r.at_s for r in requests_in(self.requests) if r.backend == "canary")
        last = max(canary, default=self.decided_at_s)
        return (max(last, self.confirmed_at_s) - self.decided_at_s) * 1000


def roll_back(router: Router, feed: Feed, decided_at_s: float, traffic_alive: Callable[[], bool]) -> RolledBack:
    """Send everything to stable; ``decided_at_s`` is the epoch time of the decision. The lease is kept meanwhile.

    Waits until 50 requests have started at stable after the last one at the canary.
    """
    router.set_share(0)
    confirmed_at_s = now_s()
    seen: list[RequestSample] = []

    def settled() -> bool:
        router.renew_lease()
        seen.extend(feed.new_requests())
        last = max((r.at_s for r in seen if r.backend == "canary"), default=decided_at_s)
        after = sum(r.at_s > max(last, decided_at_s) for r in seen if r.backend == "stable")
        return after >= STABLE_REQUESTS_AFTER or not traffic_alive()

    try:
        wait_for(settled, what="50 requests at stable after the rollback", timeout_s=WITHIN_S)
    except ProcessError:
        return RolledBack(decided_at_s, confirmed_at_s, False, seen)
    return RolledBack(decided_at_s, confirmed_at_s, traffic_alive(), seen)


def now_s() -> float:
    """The time of a decision, on the clock that request logs use."""
    return time.time()
