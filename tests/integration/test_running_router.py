"""Routers that run by themselves: share, lease and log as the ticks of a real rollout use them."""

import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from decision.rollout_spec import RunningRouter as Spec
from processes.errors import ProcessError
from processes.ports import free_port
from processes.supervised import Supervised, supervised, wait_until_ready
from processes.wait import wait_for
from rollouts.exclusive import AnotherAtWork, only_one_at
from rollouts.haproxy_router import find_haproxy
from rollouts.open_running import open_running
from rollouts.running_router import RunningHaproxy, RunningRouter
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


@pytest.mark.skipif(find_haproxy() is None, reason="HAProxy is not installed on this machine")
def test_a_wall_clock_that_is_set_back_ends_haproxy_s_lease_for_good(tmp_path: Path) -> None:
    """Nobody sets this machine's clock: the lease is moved as far into the future instead, which is the same."""
    with ExitStack() as stack:
        running = Running(stack, tmp_path, "haproxy")
        router = running.router
        assert isinstance(router, RunningHaproxy)
        router.set_share(5000, "salt")
        router.renew_lease(3600)
        wait_for(lambda: bool(running.canary()), what="canary requests", timeout_s=20)
        begins_s = time.time() + 1.5
        router.admin.set("lease_from_ms", f"int({round(begins_s * 1000)})")
        set_back_s = time.time()
        wait_for(lambda: time.time() > begins_s + 1, what="the lease's beginning", timeout_s=20)
        assert max(request.at_s for request in running.canary()) < set_back_s + 0.05
        assert router.read().lease_left_s == 0
        router.renew_lease(3600)
        wait_for(lambda: running.canary()[-1].at_s > begins_s + 1, what="canary requests again", timeout_s=20)


def test_only_its_owner_may_tell_the_router_anything(running: Running) -> None:
    mode = (running.folder / "c.sock").stat().st_mode
    assert stat.S_IMODE(mode) & 0o077 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_router_on_the_same_port_does_not_start(tmp_path: Path, kind: str) -> None:
    """The kernel would give it half of the users, out of reach of whoever holds the first one's socket."""
    spec = {"kind": kind, "listen": f"127.0.0.1:{free_port()}", "request_log": "requests.log"}
    spec |= {name: f"http://127.0.0.1:{free_port()}" for name in ("stable", "candidate")}
    first, second = (Spec.model_validate(spec | {"control": f"my routers/{name}.sock"}) for name in ("first", "second"))
    argv = [sys.executable, "-c", RUN, first.model_dump_json(), str(tmp_path)]
    with supervised("router", argv, log=tmp_path / "router.log", cwd=ROOT):
        router = open_running(first, tmp_path)
        wait_for(lambda: _answers(router), what="the first router", timeout_s=30)
        argv[3] = second.model_dump_json()
        ran = subprocess.run(argv, cwd=ROOT, capture_output=True, timeout=30, check=False)
        assert ran.returncode != 0
        assert router.read().slots == 0


def test_whoever_is_the_router_at_a_control_socket_keeps_others_away_until_its_death(tmp_path: Path) -> None:
    control = tmp_path / "run" / "control.sock"
    code = (
        "import sys, os; from pathlib import Path; from rollouts.exclusive import only_one_at; "
        "only_one_at(Path(sys.argv[1])); print('held', flush=True); os.execvp('sleep', ['sleep', '60'])"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(control)], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        wait_for(lambda: b"sleep" in Path(f"/proc/{holder.pid}/cmdline").read_bytes()[:6], what="exec", timeout_s=20)
        with pytest.raises(AnotherAtWork, match="another router"):
            only_one_at(control)
        holder.kill()
    only_one_at(control)


def test_a_full_disk_under_the_request_log_costs_users_nothing(tmp_path: Path) -> None:
    port, stable = free_port(), free_port()
    backend = [sys.executable, str(PROCESSES), "backend", str(stable), "stable", "0", "0"]
    spec = Spec.model_validate({
        "kind": "embedded", "listen": f"127.0.0.1:{port}", "control": "c.sock", "request_log": "/dev/full",
        "stable": f"http://127.0.0.1:{stable}", "candidate": f"http://127.0.0.1:{free_port()}",
    })  # fmt: skip
    argv = [sys.executable, "-c", RUN, spec.model_dump_json(), str(tmp_path)]
    with (
        supervised("stable", backend, log=tmp_path / "stable.log"),
        supervised("router", argv, log=tmp_path / "router.log", cwd=ROOT) as router,
        httpx.Client(trust_env=False, timeout=20) as client,
    ):
        wait_until_ready(router, f"http://127.0.0.1:{port}/", timeout_s=30)
        assert [client.get(f"http://127.0.0.1:{port}/").text for _ in range(5)] == ["stable"] * 5
    assert (tmp_path / "router.log").read_text().count("the request log cannot be written") == 1


def _answers(router: RunningRouter) -> bool:
    try:
        router.read()
    except ProcessError:
        return False
    return True
