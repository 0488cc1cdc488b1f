"""Rehearse the way back: a rollback by hand, and the dead man's switch."""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from evidence.measurement import AttachmentContent, Measurement, outcome_of_checks
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, attached_json
from evidence.results import Check, DrillResult
from processes.errors import CollectError, ProcessError
from processes.wait import wait_for
from rollouts.assignment import SLOTS
from rollouts.counters import requests_in
from rollouts.feed import Feed
from rollouts.kept_requests import keep_requests, read_kept_requests
from rollouts.lease import LEASE_S
from rollouts.roll_back import RolledBack, now_s, roll_back
from rollouts.router import Router
from rollouts.samples import RequestSample

_SALT = "rollback-drill"
_CANARY_REQUESTS = 50
_AFTERWARDS = 200
_WITHIN_S = 30.0
LAPSE_AT_MOST_MS = 3000.0

_REQUESTS = "requests.parquet"
_TIMES = "times.json"
_BACK = ("decided_at_s", "confirmed_at_s", "settled")


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
    exposed = watch.expose()
    progress(0.3, "rollback")
    decided_at_s = now_s()
    back = roll_back(router, watch.feed, decided_at_s, traffic_alive)
    afterwards = watch.wait_for_requests(_AFTERWARDS)
    progress(0.6, "half of the users see it again, and nobody watches")
    again = watch.expose()
    renewed_at_s, unwatched = watch.let_lease_lapse()
    router.set_share(0)
    times = {name: getattr(back, name) for name in _BACK} | {"renewed_at_s": renewed_at_s}
    requests = {
        "exposed": exposed,
        "rollback": requests_in(back.requests),
        "afterwards": afterwards,
        "again": again,
        "unwatched": unwatched,
    }
    material = {_REQUESTS: keep_requests(requests), _TIMES: json.dumps(times).encode()}
    result = drill_of(material)
    return Measurement(
        result=result,
        outcome=outcome_of_checks(result),
        summary=f"rollback in {ms_text(result.recovery_ms)}, "
        f"lease lapses in {ms_text(_lapse_ms(unwatched, renewed_at_s))}, {result.errors} requests failed",
        started_at=started_at,
        finished_at=datetime.now(UTC),
        tools={router.kind: router.version},
        parameters={"router": router.kind, "share": 0.5, "lease_s": LEASE_S},
        attachments=[
            AttachmentContent(_REQUESTS, "application/vnd.apache.parquet", material[_REQUESTS]),
            AttachmentContent(_TIMES, "application/json", material[_TIMES]),
        ],
    )


def drill_of(attachments: Attached) -> DrillResult:
    """The result of the drill from its requests and times. Raises UnrecordedError for records of older versions."""
    times = attached_json(attachments, _TIMES)
    phases = read_kept_requests(attached(attachments, _REQUESTS))
    back = RolledBack(**{name: times[name] for name in _BACK}, requests=phases.get("rollback", []))
    lapsed_ms = _lapse_ms(phases.get("unwatched", []), times["renewed_at_s"])
    requests = [request for phase in phases.values() for request in phase]
    failed = sum(request.is_error for request in requests)
    afterwards = phases.get("afterwards", [])
    late = sum(request.backend == "canary" for request in afterwards)
    ms = back.last_canary_ms
    steps = [
        Check(
            name="a rollback takes all requests to stable",
            passed=ms is not None and late == 0,
            observed=f"all went to stable {ms_text(ms)} after it; {late} of {len(afterwards)} later ones did not",
        ),
        Check(
            name="no request fails while shares change",
            passed=failed == 0,
            observed=f"{failed} of {len(requests)} requests failed",
        ),
        Check(
            name="when nobody watches, all requests go to stable by themselves",
            passed=lapsed_ms is not None and lapsed_ms <= LAPSE_AT_MOST_MS,
            observed=f"the last canary request started {ms_text(lapsed_ms)} after the last renewal of the lease",
        ),
    ]
    passed = sum(step.passed for step in steps)
    return DrillResult(
        drill="rollback",
        steps=steps,
        passed=passed,
        failed=len(steps) - passed,
        recovery_ms=ms,
        requests=len(requests),
        errors=failed,
    )


def replay_rollback(_record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of the drill again. Raises UnrecordedError."""
    result = drill_of(attachments)
    return Recomputed(result, outcome_of_checks(result))


def _lapse_ms(unwatched: Sequence[RequestSample], renewed_at_s: float) -> float | None:
    """Milliseconds from the last renewal of the lease to the last canary request's start. None: it goes on."""
    last = max((r.at_s for r in unwatched if r.backend == "canary"), default=renewed_at_s)
    still = any(r.at_s > last for r in unwatched if r.backend == "stable")
    return (last - renewed_at_s) * 1000 if still else None


def ms_text(ms: float | None) -> str:
    """Milliseconds in words."""
    return "(not measured)" if ms is None else f"{ms:.1f} ms"


class _Watch:
    """Watches the requests of the drill."""

    def __init__(self, router: Router, traffic_alive: Callable[[], bool]) -> None:
        self._router = router
        self._alive = traffic_alive
        self.feed = Feed(router)

    def expose(self) -> list[RequestSample]:
        """Expose half of the users, and wait until they are seen at the canary; returns the requests meanwhile."""
        self._router.renew_lease()
        self._router.set_share(SLOTS // 2, _SALT)
        return self._wait(
            lambda new: sum(r.backend == "canary" for r in new) >= _CANARY_REQUESTS, "canary requests", renew=True
        )

    def wait_for_requests(self, count: int) -> list[RequestSample]:
        """The next ``count`` requests, at least."""
        return self._wait(lambda new: len(new) >= count, f"{count} requests", renew=True)

    def let_lease_lapse(self) -> tuple[float, list[RequestSample]]:
        """Stop renewing; returns the epoch time of the last renewal, and the requests of the time after it."""
        renewed_at_s = now_s()
        self._router.renew_lease()
        until_s = time.monotonic() + 2 * LAPSE_AT_MOST_MS / 1000
        return renewed_at_s, self._wait(lambda _: time.monotonic() >= until_s, "the lease lapsed", renew=False)

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
        return new
