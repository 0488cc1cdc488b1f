"""Rehearse the way back: a rollback by hand, and the dead man's switch."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from evidence.measurement import Measurement
from evidence.results import Check, DrillResult
from processes.errors import CollectError, ProcessError
from processes.wait import wait_for
from rollouts.assignment import SLOTS
from rollouts.feed import Feed
from rollouts.lease import LEASE_S
from rollouts.roll_back import now_s, roll_back
from rollouts.router import Router
from rollouts.samples import RequestSample

_SALT = "rollback-drill"
_CANARY_REQUESTS = 50
_AFTERWARDS = 200
_WITHIN_S = 30.0
LAPSE_AT_MOST_MS = 3000.0


def rehearse_rollback(
    router: Router, *, traffic_alive: Callable[[], bool], progress: Callable[[float, str], None]
) -> Measurement:
    """Expose half of the users, take them back, expose them again and let the lease lapse; returns a DrillResult.

    ``recovery_ms`` is the time from the rollback until all requests went to stable. Raises CollectError when
    there is too little traffic to tell.
    """
    started_at = datetime.now(UTC)
    watch = _Watch(router, traffic_alive)
    progress(0.1, "half of the users see the candidate")
    watch.expose()
    progress(0.3, "rollback")
    decided_at_s = now_s()
    back = roll_back(router, watch.feed, decided_at_s, traffic_alive)
    watch.requests += back.requests
    afterwards = watch.wait_for_requests(_AFTERWARDS)
    late = sum(request.backend == "canary" for request in afterwards)
    progress(0.6, "half of the users see it again, and nobody watches")
    watch.expose()
    lapse_ms = watch.let_lease_lapse()
    router.set_share(0)
    failed = sum(request.is_error for request in watch.requests)
    ms = back.last_canary_ms
    steps = [
        Check(
            name="a rollback takes all requests to stable",
            passed=ms is not None and late == 0,
            observed=f"all went to stable {_text(ms)} after it; {late} of {len(afterwards)} later ones did not",
        ),
        Check(
            name="no request fails while shares change",
            passed=failed == 0,
            observed=f"{failed} of {len(watch.requests)} requests failed",
        ),
        Check(
            name="when nobody watches, all requests go to stable by themselves",
            passed=lapse_ms is not None and lapse_ms <= LAPSE_AT_MOST_MS,
            observed=f"the last canary request started {_text(lapse_ms)} after the last renewal of the lease",
        ),
    ]
    passed = sum(step.passed for step in steps)
    return Measurement(
        result=DrillResult(
            drill="rollback",
            steps=steps,
            passed=passed,
            failed=len(steps) - passed,
            recovery_ms=ms,
            requests=len(watch.requests),
            errors=failed,
        ),
        outcome="passed" if passed == len(steps) else "failed",
        summary=f"rollback in {_text(ms)}, lease lapses in {_text(lapse_ms)}, {failed} requests failed",
        started_at=started_at,
        finished_at=datetime.now(UTC),
        tools={router.kind: router.version},
        parameters={"router": router.kind, "share": 0.5, "lease_s": LEASE_S},
    )


def _text(ms: float | None) -> str:
    return "(not measured)" if ms is None else f"{ms:.1f} ms"


class _Watch:
    """The requests of the drill so far."""

    def __init__(self, router: Router, traffic_alive: Callable[[], bool]) -> None:
        self._router = router
        self._alive = traffic_alive
        self.feed = Feed(router)
        self.requests: list[RequestSample] = []

    def expose(self) -> None:
        """Expose half of the users, and wait until they are seen at the canary."""
        self._router.renew_lease()
        self._router.set_share(SLOTS // 2, _SALT)
        self._wait(
            lambda new: sum(r.backend == "canary" for r in new) >= _CANARY_REQUESTS, "canary requests", renew=True
        )

    def wait_for_requests(self, count: int) -> list[RequestSample]:
        """The next ``count`` requests, at least."""
        return self._wait(lambda new: len(new) >= count, f"{count} requests", renew=True)

    def let_lease_lapse(self) -> float | None:
        """Stop renewing; milliseconds from the last renewal to the last canary request's start. None: it goes on."""
        renewed_at_s = now_s()
        self._router.renew_lease()
        until_s = time.monotonic() + 2 * LAPSE_AT_MOST_MS / 1000
        new = self._wait(lambda _: time.monotonic() >= until_s, "the lease lapsed", renew=False)
        canary = [r.at_s for r in new if r.backend == "canary"]
        last = max(canary, default=renewed_at_s)
        still = any(r.at_s > last for r in new if r.backend == "stable")
        return (last - renewed_at_s) * 1000 if still else None

    def _wait(self, enough: Callable[[list[RequestSample]], bool], what: str, *, renew: bool) -> list[RequestSample]:
        new: list[RequestSample] = []

        def seen() -> bool:
            if not self._alive():
                raise CollectError("the traffic of the drill has stopped")
            if renew:
                self._router.renew_lease()
            new.extend(self.feed.new_requests())
            return enough(new)

        try:
            wait_for(seen, what=what, timeout_s=_WITHIN_S)
        except ProcessError as error:
            raise CollectError(f"the drill saw too little traffic: {error}") from error
        self.requests += new
        return new
