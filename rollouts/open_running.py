"""The running router that a plan names: how it is reached, and how it is started."""

import json
import os
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from decision.rollout_spec import GatewayRouter as GatewayRouterSpec
from decision.rollout_spec import RunningRouter as RunningRouterSpec
from processes.errors import ProcessError, UsageError
from rollouts.assignment import salt_key
from rollouts.gateway_router import gateway_of, guard_lease
from rollouts.haproxy_admin import HaproxyAdmin
from rollouts.haproxy_config import KEPT_LEASE, haproxy_config
from rollouts.haproxy_router import find_haproxy
from rollouts.request_log import RequestLog
from rollouts.running_router import RunningEmbedded, RunningHaproxy, RunningRouter

_ROOT = Path(__file__).resolve().parents[1]
_LONGEST_SOCKET_PATH = 107
INHERITED_FD = 3
"""Where a service manager leaves the listening socket that it keeps for the router."""


def open_running(spec: RunningRouterSpec | GatewayRouterSpec, base: Path) -> RunningRouter:
    """The router at the plan's paths, which start from ``base``; it is first asked when it is used."""
    if isinstance(spec, GatewayRouterSpec):
        return gateway_of(spec, base)
    control, log = (base / spec.control).resolve(), RequestLog((base / spec.request_log).resolve())
    if spec.kind == "haproxy":
        return RunningHaproxy(HaproxyAdmin(control), log)
    return RunningEmbedded(control, log)


def place_of(spec: RunningRouterSpec | GatewayRouterSpec, base: Path) -> str:
    """What tells this router from all others, in words."""
    if isinstance(spec, GatewayRouterSpec):
        return f"HTTPRoute {spec.namespace}/{spec.route} of {spec.server or 'this cluster'}"
    return f"router at {(base / spec.control).resolve()}"


def configuration_of(spec: RunningRouterSpec | GatewayRouterSpec, base: Path, listener: int | None = None) -> str:
    """What ``run_router`` starts: HAProxy's configuration, or the settings of the embedded proxy.

    ``listener`` is the file descriptor of a listening socket to use instead of opening one. Raises UsageError for a
    gateway: others configure it.
    """
    if isinstance(spec, GatewayRouterSpec):
        raise UsageError(
            "rollout.router: a gateway-api router has no configuration here: its HTTPRoute is in the cluster"
        )
    control = (base / spec.control).resolve()
    if len(os.fsencode(control)) > _LONGEST_SOCKET_PATH:
        raise UsageError(f"rollout.router.control: {control} is longer than a socket's path may be (107 bytes)")
    if spec.kind == "haproxy":
        return haproxy_config(
            listen=spec.listen if listener is None else f"fd@{listener}",
            stable=urlsplit(spec.stable).netloc,
            canary=urlsplit(spec.candidate).netloc,
            admin=control,
            salt_key=salt_key(""),
            lease=KEPT_LEASE,
        )
    settings = {
        "port": int(spec.listen.rsplit(":", 1)[1]),
        "listener": listener,
        "stable_url": spec.stable,
        "candidate_url": spec.candidate,
        "lease_url": None,
        "control": str(control),
        "salt_key": salt_key(""),
    }
    return json.dumps(settings)


def run_router(spec: RunningRouterSpec | GatewayRouterSpec, base: Path) -> NoReturn:
    """Become the router: this process is replaced by it, and its output is appended to the request log.

    A gateway routes by itself: for it this process becomes the guard that ends the lease.

    A listening socket that a service manager kept for it (systemd's LISTEN_FDS) is used instead of a new one, so that
    users wait while the router is started again, and none is refused.

    Raises UsageError when HAProxy is asked for and not installed, ProcessError when it cannot be started.
    """
    if isinstance(spec, GatewayRouterSpec):
        guard_lease(gateway_of(spec, base))
    content = configuration_of(spec, base, inherited_listener())
    control, log = (base / spec.control).resolve(), (base / spec.request_log).resolve()
    argv = [sys.executable, "-m", "rollouts.embedded_proxy", content]
    try:
        for folder in (control.parent, log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if spec.kind == "haproxy":
            program = find_haproxy()
            if program is None:
                raise UsageError("rollout.router: HAProxy is not installed; install it, or say kind: embedded")
            config = control.with_suffix(".cfg")
            config.write_text(content)
            argv = [program, "-db", "-f", str(config)]
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        os.dup2(output, 1)
        os.chdir(_ROOT)  # where the embedded proxy's modules are
        os.execv(argv[0], argv)
    except OSError as error:
        raise ProcessError(f"the router cannot be started: {error}") from error


def inherited_listener() -> int | None:
    """The one listening socket that a service manager has passed on to this process; None without one.

    https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
    """
    own = os.environ.get("LISTEN_PID", str(os.getpid())) == str(os.getpid())
    return INHERITED_FD if own and os.environ.get("LISTEN_FDS") == "1" else None


if __name__ == "__main__":
    run_router(RunningRouterSpec.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
