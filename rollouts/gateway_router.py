"""A Kubernetes Gateway as a rollout's router: shares are the weights of an HTTPRoute. See ``RunningRouter``.

Weights split requests, not users: a user may see both versions, and no salt exposes the same people twice. The share
that was told and the end of the lease stand in annotations of the route; the candidate's weight is that share while the
lease holds, and 0 afterwards. A gateway knows no lease: ``guard_lease``, a process of its own, ends it.
"""

import os
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite, nan
from pathlib import Path
from typing import NoReturn

from decision.rollout_spec import GatewayRouter as GatewayRouterSpec
from processes.errors import ProcessError, UsageError
from rollouts.assignment import SLOTS, salt_key
from rollouts.http_route import HttpRoute, RouteState
from rollouts.request_log import RequestLog
from rollouts.running_router import Routing, read_on
from rollouts.samples import RequestSample

SHARE = "gonogo/canary-slots"
SALT = "gonogo/salt"
LEASE = "gonogo/lease-until"
GUARD_EVERY_S = 0.5
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that routes by an HTTPRoute. The lease's end is by the clock of whoever reads it."""

    route: HttpRoute
    log: RequestLog | None
    now_s: Callable[[], float] = time.time
    kind: str = "gateway-api"

    def read(self) -> Routing:
        """See ``RunningRouter``. Weights that are neither the share nor 0 were changed by somebody else."""
        state = self.route.read()
        told, left_s = _told(state), max(0.0, _until_s(state) - self.now_s())
        expected = (SLOTS - told, told) if left_s else (SLOTS, 0)
        weights = (state.stable_weight, state.candidate_weight)
        as_told = weights in (expected, (SLOTS, 0), (SLOTS - told, told))
        slots = told if as_told else _share_of(*weights)
        return Routing(slots, state.annotations.get(SALT, ""), left_s)

    def set_share(self, slots: int, salt: str) -> None:
        """See ``RunningRouter``. The salt is kept for the record: nobody is assigned by it."""
        told = {SHARE: str(slots), SALT: salt_key(salt)}
        self.route.change(lambda state: self._in_effect(_annotated(state, told)))

    def renew_lease(self, seconds: float) -> None:
        """See ``RunningRouter``."""
        until = {LEASE: f"{self.now_s() + seconds:.3f}"}
        self.route.change(lambda state: self._in_effect(_annotated(state, until)))

    def end_lapsed_lease(self) -> bool:
        """Send everyone to stable when the lease has lapsed; returns whether that had to be done."""
        state = self.route.read()
        if state.candidate_weight == 0 or self.now_s() < _until_s(state):
            return False
        self.route.change(self._in_effect)
        return True

    def end_of_log(self) -> int:
        """See ``RunningRouter``; 0 without a log, where counters are judged."""
        return 0 if self.log is None else self.log.end()

    def requests_since(self, cursor: int) -> tuple[list[RequestSample], int, bool]:
        """See ``RunningRouter``."""
        return ([], cursor, True) if self.log is None else read_on(self.log, cursor)

    def _in_effect(self, state: RouteState) -> RouteState:
        slots = _told(state) if self.now_s() < _until_s(state) else 0
        return replace(state, stable_weight=SLOTS - slots, candidate_weight=slots)


def gateway_of(spec: GatewayRouterSpec, base: Path) -> RunningGateway:
    """The gateway of a plan whose paths start from ``base``. Raises UsageError when the API or its CA is not known."""
    server = spec.server or _server_of_the_pod()
    secure = server.startswith("https://")
    token_file = base / spec.token_file if spec.token_file else _ACCOUNT / "token" if secure else None
    ca_file = base / spec.ca_file if spec.ca_file else _ACCOUNT / "ca.crt"
    try:
        tls = ssl.create_default_context(cafile=str(ca_file)) if secure else False
    except OSError as error:
        raise UsageError(
            f"rollout.router: the CA of the Kubernetes API in {ca_file} cannot be read: {error}"
        ) from error
    route = HttpRoute(server, token_file, tls, spec.namespace, spec.route, spec.rule, spec.stable, spec.candidate)
    log = None if spec.request_log is None else RequestLog((base / spec.request_log).resolve())
    return RunningGateway(route, log)


def guard_lease(gateway: RunningGateway) -> NoReturn:
    """Twice a second send everyone to stable when the lease has lapsed, until this process is ended.

    While the API does not answer nothing can be done but to ask again; each such time is a line on standard error.
    """
    while True:
        began_s = time.monotonic()
        try:
            if gateway.end_lapsed_lease():
                print("the lease has lapsed: everyone is on stable", file=sys.stderr, flush=True)
        except ProcessError as error:
            print(error, file=sys.stderr, flush=True)
        time.sleep(max(0.0, GUARD_EVERY_S - (time.monotonic() - began_s)))


def _server_of_the_pod() -> str:
    """https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/"""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise UsageError("rollout.router: this is no pod of Kubernetes; say server (and token_file, ca_file)")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _annotated(state: RouteState, more: dict[str, str]) -> RouteState:
    return replace(state, annotations={**state.annotations, **more})


def _told(state: RouteState) -> int:
    return int(_number(state, SHARE))


def _until_s(state: RouteState) -> float:
    return _number(state, LEASE)


def _number(state: RouteState, annotation: str) -> float:
    text = state.annotations.get(annotation, "0")
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise ProcessError(f"the annotation {annotation} of the HTTPRoute is no number: {text!r}")
    return number


def _share_of(stable_weight: int, candidate_weight: int) -> int:
    total = stable_weight + candidate_weight
    return round(SLOTS * candidate_weight / total) if total else 0
