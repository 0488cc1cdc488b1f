"""Take all traffic to stable, and measure how long that took."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from processes.errors import ProcessError
from processes.wait import wait_for
from rollouts.feed import Feed
from rollouts.router import Router
from rollouts.samples import RequestSample

_STABLE_REQUESTS_AFTER = 50
_WITHIN_S = 20.0


@dataclass(frozen=True)
class RolledBack:
    """``last_canary_ms``: from the decision until the router confirmed it, or until the last canary request started.

    The later of both; None when too little traffic came afterwards to tell.
    """

    last_canary_ms: float | None
    requests: list[RequestSample]


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
        return after >= _STABLE_REQUESTS_AFTER or not traffic_alive()

    try:
        wait_for(settled, what="50 requests at stable after the rollback", timeout_s=_WITHIN_S)
    except ProcessError:
        return RolledBack(None, seen)
    if not traffic_alive():
        return RolledBack(None, seen)
    last = max((r.at_s for r in seen if r.backend == "canary"), default=decided_at_s)
    return RolledBack((max(last, confirmed_at_s) - decided_at_s) * 1000, seen)


def now_s() -> float:
    """The time of a decision, on the clock that request logs use."""
    return time.time()
