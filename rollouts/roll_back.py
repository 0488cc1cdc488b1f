"""Take all traffic to stable, and measure how long that took."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from processes.errors import ProcessError
from processes.wait import wait_for
from rollouts.requests import Request
from rollouts.router import Router

_STABLE_REQUESTS_AFTER = 50
_WITHIN_S = 20.0


@dataclass(frozen=True)
class RolledBack:
    """``last_canary_ms``: from the decision to the start of the last canary request, 0 when none started after it.

    None when too little traffic came afterwards to tell.
    """

    last_canary_ms: float | None
    requests: list[Request]


def roll_back(router: Router, salt: str, decided_at_s: float, traffic_alive: Callable[[], bool]) -> RolledBack:
    """Send everything to stable; ``decided_at_s`` is the epoch time of the decision. The lease is kept meanwhile.

    Waits until 50 requests have started at stable after the last one at the canary.
    """
    router.split(0, salt)
    seen: list[Request] = []

    def settled() -> bool:
        router.renew_lease()
        seen.extend(router.new_requests())
        last = max((r.started_at_s for r in seen if r.arm == "canary"), default=decided_at_s)
        after = sum(r.started_at_s > max(last, decided_at_s) for r in seen if r.arm == "stable")
        return after >= _STABLE_REQUESTS_AFTER or not traffic_alive()

    try:
        wait_for(settled, what="50 requests at stable after the rollback", timeout_s=_WITHIN_S)
    except ProcessError:
        return RolledBack(None, seen)
    if not traffic_alive():
        return RolledBack(None, seen)
    last = max((r.started_at_s for r in seen if r.arm == "canary"), default=decided_at_s)
    return RolledBack(max(0.0, (last - decided_at_s) * 1000), seen)


def now_s() -> float:
    """The time of a decision, on the clock that request logs use."""
    return time.time()
