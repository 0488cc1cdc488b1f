"""Rehearse the death of a controller, and of the router itself, with the router as it runs in production."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path

from evidence.measurement import AttachmentContent, Measurement, outcome_of_checks
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, attached_json
from evidence.results import Check, DrillResult
from processes.errors import CollectError, ProcessError
from processes.supervised import supervised
from processes.wait import wait_for
from rollouts.asking import Asked, asking
from rollouts.assignment import SLOTS
from rollouts.drill import DIVERTED, diverted_after, ms_text
from rollouts.kept_requests import keep_requests, read_kept_requests
from rollouts.kept_router import ROOT, KeptRouter
from rollouts.lease import LEASE_S
from rollouts.samples import RequestSample

LAPSE_AT_MOST_MS = 3000.0
_SALT = "router-drill"
_ENOUGH = 50
_WITHIN_S = 30.0

_REQUESTS = "requests.parquet"
_TIMES = "times.json"
_ASKED = "asked.json"

Progress = Callable[[float, str], None]


def rehearse_lease_lapse(
    kept: KeptRouter, *, traffic_alive: Callable[[], bool], progress: Progress, work_dir: Path
) -> Measurement:
    """Kill the controller while half of the users see the candidate; returns a DrillResult.

    ``recovery_ms`` is the time from the kill until the last request of the candidate began. Raises CollectError when
    there is too little traffic to tell.
    """
    started_at, log = datetime.now(UTC), _Log(kept, traffic_alive)
    spec = (kept.spec.model_dump_json(), str(kept.folder))
    argv = [sys.executable, "-m", "rollouts.drill_controller", *spec, str(SLOTS // 2), _SALT]
    with supervised("controller", argv, log=work_dir / "controller.log", cwd=ROOT) as controller:
        progress(0.1, "half of the users see the candidate")
        exposed = log.wait(_canary_seen)
        killed_at_s = time.time()
        os.kill(controller.pid, signal.SIGKILL)
        controller.wait(_WITHIN_S)
    progress(0.5, "the controller is dead")
    until_s = time.monotonic() + 1.5 * LAPSE_AT_MOST_MS / 1000
    unwatched = log.wait(lambda _: time.monotonic() >= until_s)
    material = {
        _REQUESTS: keep_requests({"exposed": exposed, "unwatched": unwatched}),
        _TIMES: json.dumps({"killed_at_s": killed_at_s}).encode(),
    }
    result = lease_lapse_of(material)
    summary = f"all on stable {ms_text(result.recovery_ms)} after the controller was killed"
    return _measurement(result, summary, started_at, kept, material)


def lease_lapse_of(attachments: Attached) -> DrillResult:
    """The result of the drill from its requests and times. Raises UnrecordedError for records that lack them."""
    killed_at_s = float(attached_json(attachments, _TIMES)["killed_at_s"])
    phases = read_kept_requests(attached(attachments, _REQUESTS))
    exposed, unwatched = phases.get("exposed", []), phases.get("unwatched", [])
    last_s = max((r.at_s for r in unwatched if r.backend == "canary"), default=killed_at_s)
    after = sum(r.at_s > last_s for r in unwatched if r.backend == "stable")
    lapsed = after >= _ENOUGH and diverted_after(unwatched, last_s) >= DIVERTED
    ms = max(0.0, last_s - killed_at_s) * 1000 if lapsed else None
    failed = sum(r.is_error for r in (*exposed, *unwatched))
    requests, seen = len(exposed) + len(unwatched), sum(r.backend == "canary" for r in exposed)
    steps = [
        Check(
            name="users see the candidate while the controller lives",
            passed=seen >= _ENOUGH,
            observed=f"{seen} of {len(exposed)} requests went to the candidate",
        ),
        Check(
            name="when the controller is killed, all requests go to stable by themselves",
            passed=ms is not None and ms <= LAPSE_AT_MOST_MS,
            observed=f"the last canary request began {ms_text(ms)} after the kill; {after} went to stable since",
        ),
        Check(
            name="no request fails meanwhile", passed=failed == 0, observed=f"{failed} of {requests} requests failed"
        ),
    ]
    return _result("lease-lapse", steps, ms, requests, failed)


def rehearse_router_restart(
    kept: KeptRouter, *, path: str, traffic_alive: Callable[[], bool], progress: Progress
) -> Measurement:
    """Kill the router while half of the users see the candidate, and let it be started again; returns a DrillResult.

    ``path`` is what both versions answer with 200. ``recovery_ms`` is the time from the kill until the router answered
    a user again. Raises CollectError when there is too little traffic to tell.
    """
    started_at, log = datetime.now(UTC), _Log(kept, traffic_alive)
    with asking(kept.url, path) as asked:
        progress(0.1, "half of the users see the candidate")
        exposed_at_s = _as_the_journal_says(kept)
        exposed = log.wait(_canary_seen, kept)
        progress(0.4, "the router is killed")
        killed_at_s, died_at_s = kept.kill()
        restarted = log.wait(lambda new: sum(request.at_s > died_at_s for request in new) >= _ENOUGH)
        progress(0.7, "the restarted router is told what the journal says")
        told_at_s = _as_the_journal_says(kept)
        again = log.wait(_canary_seen, kept)
    times = {"exposed_at_s": exposed_at_s, "killed_at_s": killed_at_s, "died_at_s": died_at_s, "told_at_s": told_at_s}
    material = {
        _REQUESTS: keep_requests({"exposed": exposed, "restarted": restarted, "again": again}),
        _ASKED: json.dumps({"asked": [astuple(one) for one in asked]}).encode(),
        _TIMES: json.dumps(times).encode(),
    }
    result = router_restart_of(material)
    summary = f"users answered again {ms_text(result.recovery_ms)} after the router was killed, {result.errors} failed"
    return _measurement(result, summary, started_at, kept, material)


def router_restart_of(attachments: Attached) -> DrillResult:
    """The result of the drill from its requests and times. Raises UnrecordedError for records that lack them."""
    times = attached_json(attachments, _TIMES)
    phases = read_kept_requests(attached(attachments, _REQUESTS))
    asked = [Asked(*one) for one in attached_json(attachments, _ASKED)["asked"]]
    killed_at_s, died_at_s, told_at_s = (float(times[name]) for name in ("killed_at_s", "died_at_s", "told_at_s"))
    in_flight = [one for one in asked if one.started_at_s <= died_at_s and one.ended_at_s >= killed_at_s]
    later = [one for one in asked if one.started_at_s > died_at_s]
    lost, refused = sum(one.failed for one in in_flight), sum(one.failed for one in later)
    elsewhere = sum(one.failed for one in asked) - lost - refused
    logged = [request for phase in phases.values() for request in phase]
    errors = sum(request.is_error for request in logged)
    answered_s = min((one.ended_at_s for one in later if not one.failed), default=None)
    untold = [r for r in phases.get("restarted", []) if r.at_s > died_at_s]
    strayed = sum(request.backend == "canary" for request in untold)
    before = _arms(r for r in phases.get("exposed", []) if r.at_s > float(times["exposed_at_s"]))
    after = _arms(r for r in phases.get("again", []) if r.at_s > told_at_s)
    both = before.keys() & after.keys()
    moved = sum(before[user] != after[user] for user in both)
    exposed = sum(after[user] == {"canary"} for user in both)
    steps = [
        Check(
            name="no request fails but those in flight when the router dies",
            passed=refused + elsewhere + errors == 0 and len(later) >= _ENOUGH,
            observed=f"{refused} of {len(later)} later requests failed, and {elsewhere + errors} before; "
            f"{lost} of {len(in_flight)} in flight were lost",
        ),
        Check(
            name="a restarted router sends everyone to stable until it is told",
            passed=strayed == 0 and len(untold) >= DIVERTED,
            observed=f"{strayed} of {len(untold)} requests went to the candidate",
        ),
        Check(
            name="told what the journal says, it exposes the same users",
            passed=moved == 0 and 0 < exposed < len(both),
            observed=f"{exposed} of {len(both)} users that came back see the candidate, {moved} were moved",
        ),
    ]
    ms = None if answered_s is None else (answered_s - killed_at_s) * 1000
    return _result("router-restart", steps, ms, len(asked) + len(logged), refused + elsewhere + errors)


def replay_lease_lapse(_record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of the drill again. Raises UnrecordedError."""
    result = lease_lapse_of(attachments)
    return Recomputed(result, outcome_of_checks(result))


def replay_router_restart(_record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of the drill again. Raises UnrecordedError."""
    result = router_restart_of(attachments)
    return Recomputed(result, outcome_of_checks(result))


def _as_the_journal_says(kept: KeptRouter) -> float:
    """What a tick does whose journal says that half of the users are exposed; returns the epoch time when it holds."""
    if not kept.router.read().is_as_told(SLOTS // 2, _SALT):
        kept.router.set_share(SLOTS // 2, _SALT)
    kept.router.renew_lease(LEASE_S)
    return time.time()


def _canary_seen(new: Sequence[RequestSample]) -> bool:
    return sum(request.backend == "canary" for request in new) >= 2 * _ENOUGH


def _arms(requests: Iterable[RequestSample]) -> dict[str, set[str]]:
    """The versions that each user was assigned to; requests without a user are nobody's."""
    arms: dict[str, set[str]] = {}
    for request in requests:
        arms.setdefault(request.user_hash, set()).add(request.assigned)
    return arms


def _measurement(
    result: DrillResult, summary: str, started_at: datetime, kept: KeptRouter, material: dict[str, bytes]
) -> Measurement:
    media_types = {_REQUESTS: "application/vnd.apache.parquet"}
    return Measurement(
        result=result,
        outcome=outcome_of_checks(result),
        summary=summary,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        tools={kept.router.kind: kept.version},
        parameters={"router": kept.router.kind, "share": 0.5, "lease_s": LEASE_S},
        attachments=[
            AttachmentContent(name, media_types.get(name, "application/json"), content)
            for name, content in material.items()
        ],
    )


def _result(drill: str, steps: list[Check], ms: float | None, requests: int, errors: int) -> DrillResult:
    passed = sum(step.passed for step in steps)
    return DrillResult(
        drill=drill,
        steps=steps,
        passed=passed,
        failed=len(steps) - passed,
        recovery_ms=ms,
        requests=requests,
        errors=errors,
    )


class _Log:
    """Reads the router's log on; the share is kept up meanwhile where it is asked for."""

    def __init__(self, kept: KeptRouter, traffic_alive: Callable[[], bool]) -> None:
        self._router, self._alive, self._cursor = kept.router, traffic_alive, kept.router.end_of_log()

    def wait(
        self, enough: Callable[[Sequence[RequestSample]], bool], kept: KeptRouter | None = None
    ) -> list[RequestSample]:
        """The requests until there are enough; the lease of ``kept`` is renewed meanwhile."""
        new: list[RequestSample] = []

        def seen() -> bool:
            if not self._alive():
                raise CollectError("the traffic of the drill has stopped")
            if kept is not None:
                kept.router.renew_lease(LEASE_S)
            read, self._cursor, _ = self._router.requests_since(self._cursor)
            new.extend(read)
            return enough(new)

        try:
            wait_for(seen, what="requests", timeout_s=_WITHIN_S)
        except ProcessError as error:
            raise CollectError(f"the drill saw too little traffic: {error}") from error
        return new
