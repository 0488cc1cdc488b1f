"""Routers that run by themselves: share, lease and log as the ticks of a real rollout use them."""

import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from decision.rollout_spec import RunningRouter as Spec
from processes.errors import ProcessError
from processes.ports import free_port
from processes.supervised import Supervised, supervised, wait_until_ready
from processes.wait import wait_for
from rollouts.haproxy_router import find_haproxy
from rollouts.open_running import open_running
from rollouts.running_router import RunningRouter
from rollouts.samples import RequestSample

PROCESSES = Path(__file__).with_name("rollout_processes.py")
ROOT = Path(__file__).parents[2]
KINDS = [
    pytest.param(
        "haproxy", marks=pytest.mark.skipif(find_haproxy() is None, reason="HAProxy is not installed on this machine")
    ),
    "embedded",
]
RUN = "import sys; from pathlib import Path; from decision.rollout_spec import RunningRouter; " \
      "from rollouts.open_running import run_router; " \
      "run_router(RunningRouter.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"  # fmt: skip


class Running:
    """Both versions, the router as a process of its own, and users that never stop asking."""

    def __init__(self, stack: ExitStack, folder: Path, kind: str) -> None:
        ports = {name: free_port() for name in ("stable", "candidate", "router")}
        for name in ("stable", "candidate"):
            argv = [sys.executable, str(PROCESSES), "backend", str(ports[name]), name, "0", "8"]
            process = stack.enter_context(supervised(name, argv, log=folder / f"{name}.log"))
            wait_until_ready(process, f"http://127.0.0.1:{ports[name]}/", timeout_s=20)
        self.candidate: Supervised = process
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        router = {"listen": f"127.0.0.1:{ports['router']}", "stable": urls["stable"], "candidate": urls["candidate"]}
        self.spec = Spec.model_validate({"kind": kind, "control": "c.sock", "request_log": "requests.log", **router})
        self.stack, self.folder, self.url = stack, folder, urls["router"]
        self.process = self.start()
        argv = [sys.executable, str(PROCESSES), "users", self.url, "5000", "4"]
        stack.enter_context(supervised("users", argv, log=folder / "users.log"))
        self.router: RunningRouter = open_running(self.spec, folder)

    def start(self) -> Supervised:
        argv = [sys.executable, "-c", RUN, self.spec.model_dump_json(), str(self.folder)]
        process = self.stack.enter_context(supervised("router", argv, log=self.folder / "router.log", cwd=ROOT))
        wait_until_ready(process, self.url + "/.gonogo/ready", timeout_s=30)
        return process

    def requests(self) -> list[RequestSample]:
        return self.router.requests_since(0)[0]

    def canary(self) -> list[RequestSample]:
        return [request for request in self.requests() if request.backend == "canary"]


@pytest.fixture(params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    with ExitStack() as stack:
        yield Running(stack, tmp_path, request.param)


def test_a_lease_that_nobody_renews_ends_at_its_time_and_no_request_fails(running: Running) -> None:
    running.router.set_share(5000, "salt")
    assert running.router.read().is_as_told(5000, "salt")
    assert not running.router.read().is_as_told(5000, "other")
    assert running.router.read().lease_left_s == 0
    renewed_s = time.time()
    running.router.renew_lease(1.5)
    wait_for(lambda: time.time() > renewed_s + 3 and bool(running.canary()), what="the lease's end", timeout_s=20)
    lapsed_s = max(request.at_s for request in running.canary()) - renewed_s
    print(f"{running.router.kind}: the last canary request began {lapsed_s:.3f} s after the renewal of 1.5 s")
    assert 1.0 < lapsed_s < 1.7
    assert {request.status for request in running.requests()} == {200}
    assert running.router.read().lease_left_s == 0


def test_a_restarted_router_has_no_share_and_no_lease(running: Running) -> None:
    running.router.set_share(5000, "salt")
    running.router.renew_lease(3600)
    wait_for(lambda: bool(running.canary()), what="canary requests", timeout_s=20)
    assert running.router.read().lease_left_s > 3500
    running.process.stop()
    with pytest.raises(ProcessError):
        running.router.read()
    running.start()
    routing = running.router.read()
    assert (routing.slots, routing.lease_left_s) == (0, 0)


def test_a_dead_candidate_is_left_by_itself(running: Running) -> None:
    running.router.set_share(5000, "salt")
    running.router.renew_lease(3600)
    wait_for(lambda: bool(running.canary()), what="canary requests", timeout_s=20)
    died_s = time.time()
    running.candidate.stop()
    wait_for(lambda: time.time() > died_s + 2.5, what="the router's check", timeout_s=20)
    assert max(request.at_s for request in running.canary()) - died_s < 2


def test_only_its_owner_may_tell_the_router_anything(running: Running) -> None:
    mode = (running.folder / "c.sock").stat().st_mode
    assert stat.S_IMODE(mode) & 0o077 == 0
