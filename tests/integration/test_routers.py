import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from processes.errors import UsageError
from processes.ports import free_port
from processes.supervised import Supervised, start, supervised, wait_until_ready
from processes.wait import wait_for
from rollouts import open_router as opening
from rollouts.assignment import SLOTS, salt_key, slot_of, user_hash
from rollouts.haproxy_router import find_haproxy
from rollouts.open_router import open_router
from rollouts.router import Router
from rollouts.samples import RequestSample

SALT = "first 'salt', with $%"
PROCESSES = Path(__file__).with_name("rollout_processes.py")
KINDS = [
    pytest.param(
        "haproxy", marks=pytest.mark.skipif(find_haproxy() is None, reason="HAProxy is not installed on this machine")
    ),
    "embedded",
]


def xxh32(text: bytes) -> int:
    """xxHash32 with seed 0 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md)."""
    first, second, third, fourth, fifth = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
    mask = 0xFFFFFFFF

    def turned(value: int, bits: int) -> int:
        value &= mask
        return (value << bits | value >> (32 - bits)) & mask

    def word(at: int) -> int:
        return int.from_bytes(text[at : at + 4], "little")

    lanes, at = [first + second & mask, second, 0, -first & mask], 0
    while at + 16 <= len(text):
        lanes = [turned(lane + word(at + 4 * n) * second, 13) * first & mask for n, lane in enumerate(lanes)]
        at += 16
    value = sum(turned(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) if at else fifth
    value += len(text)
    while at + 4 <= len(text):
        value = turned(value + word(at) * third, 17) * fourth & mask
        at += 4
    for byte in text[at:]:
        value = turned(value + byte * fifth, 11) * first & mask
    value = (value ^ (value & mask) >> 15) * second & mask
    value = (value ^ value >> 13) * third & mask
    return value ^ value >> 16


@dataclass
class Rig:
    router: Router
    canary: Supervised
    canary_port: int
    client: httpx.Client

    def served_by(self, user: str | None, path: str = "/") -> str:
        headers = {} if user is None else {"X-User-Id": user.encode()}
        return self.client.get(self.router.url + path, headers=headers).text

    def exposed(self, users: int = 200) -> set[str]:
        address = urlsplit(self.router.url)
        connection = HTTPConnection(str(address.hostname), address.port, timeout=20)
        exposed = set()
        for user in (f"user-{n}" for n in range(users)):
            connection.request("GET", "/", headers={"X-User-Id": user})
            if connection.getresponse().read() == b"canary":
                exposed.add(user)
        connection.close()
        return exposed

    def slot(self, user: str, salt: str) -> int:
        """Where the user's slot must be, computed beside the router."""
        if self.router.kind == "embedded":
            return slot_of(user, salt_key(salt))
        return xxh32(f"{salt_key(salt)}:{user}".encode()) % SLOTS

    def wait_for_canary(self) -> None:
        """Wait until the lease has reached the router: it is then asked with all slots open."""

        def up() -> bool:
            self.router.renew_lease()
            return self.served_by("anyone") == "canary"

        wait_for(up, what="canary up", timeout_s=20)


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as stack:
        ports = free_port(), free_port()
        backends = []
        for name, port in zip(("stable", "canary"), ports, strict=True):
            argv = [sys.executable, str(PROCESSES), "backend", str(port), name, "0", "0"]
            backend = stack.enter_context(supervised(name, argv, log=tmp_path / f"{name}.log"))
            wait_until_ready(backend, f"http://127.0.0.1:{port}/", timeout_s=20)
            backends.append(backend)
        router = stack.enter_context(
            open_router(
                kind=request.param,
                stable_url=f"http://127.0.0.1:{ports[0]}",
                candidate_url=f"http://127.0.0.1:{ports[1]}",
                salt=SALT,
                work_dir=tmp_path / "work",
            )
        )
        client = stack.enter_context(httpx.Client(timeout=20, trust_env=False))
        yield Rig(router, backends[1], ports[1], client)


@pytest.fixture
def open_rig(rig: Rig) -> Iterator[Rig]:
    """With a lease that is renewed by itself, and all slots open."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(0.2):
            rig.router.renew_lease()

    keeper = threading.Thread(target=renew)
    keeper.start()
    rig.router.set_share(SLOTS)
    try:
        rig.wait_for_canary()
        yield rig
    finally:
        ended.set()
        keeper.join()


def requests_of(rig: Rig, count: int, cursor: int = 0) -> list[RequestSample]:
    wait_for(lambda: len(rig.router.requests_since(cursor)[0]) >= count, what=f"{count} requests", timeout_s=20)
    return rig.router.requests_since(cursor)[0]


def test_everyone_is_on_stable_until_a_share_is_set(rig: Rig) -> None:
    assert {rig.served_by(f"user-{n}") for n in range(20)} == {"stable"}
    assert rig.served_by(None) == "stable"


def test_the_share_is_sticky_monotone_and_about_as_large_as_asked(open_rig: Rig) -> None:
    shares = []
    for slots in (500, 2500, 5000):
        open_rig.router.set_share(slots)
        exposed = open_rig.exposed()
        assert exposed == open_rig.exposed()
        shares.append(exposed)
    assert shares[0] <= shares[1] <= shares[2]
    assert abs(len(shares[2]) - 100) < 4 * (200 * 0.25) ** 0.5
    open_rig.router.set_share(0)
    assert open_rig.exposed() == set()


def test_exactly_the_users_of_the_slots_below_the_share_are_exposed(open_rig: Rig) -> None:
    slots = {user: open_rig.slot(user, SALT) for user in (f"user-{n}" for n in range(200))}
    for share in (1, 100, 2500, 9_999, SLOTS):
        open_rig.router.set_share(share)
        assert open_rig.exposed() == {user for user, slot in slots.items() if slot < share}
    for user, slot in list(slots.items())[:20]:
        open_rig.router.set_share(slot)
        assert open_rig.served_by(user) == "stable"
        open_rig.router.set_share(slot + 1)
        assert open_rig.served_by(user) == "canary"


def test_canary_and_ab_test_overlap_as_chance_predicts(open_rig: Rig) -> None:
    """Under two salts the slots of a user are independent: of the canary's users half are in the A/B test's arm."""
    users = 3000
    open_rig.router.set_share(2000, "canary-2025-10")
    canary = open_rig.exposed(users)
    open_rig.router.set_share(5000, "ab-2025-10")
    both = canary & open_rig.exposed(users)
    print(f"{open_rig.router.kind}: {len(canary)} of {users} in the canary, {len(both)} of these in the A/B test's arm")
    assert abs(len(canary) - 0.2 * users) < 4 * (users * 0.2 * 0.8) ** 0.5
    assert abs(len(both) - len(canary) / 2) < 4 * (len(canary) / 4) ** 0.5


def test_the_very_next_request_of_a_kept_connection_sees_the_new_share(open_rig: Rig) -> None:
    for _ in range(50):
        open_rig.router.set_share(0)
        assert open_rig.served_by("ada") == "stable"
        open_rig.router.set_share(SLOTS)
        assert open_rig.served_by("ada") == "canary"


def test_another_salt_exposes_other_users(open_rig: Rig) -> None:
    open_rig.router.set_share(5000)
    first = open_rig.exposed()
    open_rig.router.set_share(5000, "another salt")
    second = open_rig.exposed()
    assert len(first & second) < 0.75 * len(first)
    open_rig.router.set_share(5000, SALT)
    assert open_rig.exposed() == first


def test_requests_without_a_user_see_the_candidate_only_when_everyone_does(open_rig: Rig) -> None:
    assert open_rig.served_by(None) == "canary"
    open_rig.router.set_share(SLOTS - 1)
    assert open_rig.served_by(None) == "stable"


def test_every_request_is_logged_once_with_version_status_latency_and_a_hash_of_its_user(open_rig: Rig) -> None:
    open_rig.served_by("marker", "/fail")
    log = open_rig.router.requests_since
    wait_for(lambda: any(sample.status == 500 for sample in log(0)[0]), what="the marker logged", timeout_s=20)
    cursor = log(0)[1]
    before_s = time.time()
    open_rig.served_by("ada")
    open_rig.served_by("ada", "/fail")
    open_rig.router.set_share(0)
    open_rig.served_by("grace")
    open_rig.served_by("ödön")
    *seen, other = requests_of(open_rig, 4, cursor)
    assert [(sample.backend, sample.status) for sample in seen] == [("canary", 200), ("canary", 500), ("stable", 200)]
    assert seen[0].user_hash == seen[1].user_hash != seen[2].user_hash
    assert all("ada" not in sample.user_hash for sample in seen)
    # The same from every router: by it outcomes that others recorded of a user are found.
    assert (seen[0].user_hash, other.user_hash) == (user_hash("ada"), user_hash("ödön"))
    assert all(before_s - 0.1 <= sample.at_s <= time.time() + 0.1 for sample in seen)
    assert all(0 <= sample.latency_ms < 20_000 for sample in seen)
    latest = open_rig.router.requests_since(cursor)[1]
    assert open_rig.router.requests_since(latest) == ([], latest)


def test_bodies_pass_through_in_both_directions(open_rig: Rig) -> None:
    body = os.urandom(400_000)
    answer = open_rig.client.post(open_rig.router.url + "/echo", content=body, headers={"X-User-Id": "a"})
    assert answer.content == body
    text = open_rig.client.get(open_rig.router.url + "/chunked", headers={"X-User-Id": "a"}).text
    assert text == "".join(f"{n:04d}" for n in range(500))
    assert open_rig.served_by("a") == "canary"


def test_all_users_are_on_stable_within_three_seconds_when_the_lease_is_not_renewed(rig: Rig) -> None:
    rig.router.set_share(SLOTS)
    rig.wait_for_canary()
    rig.router.renew_lease()
    took_s = wait_for(lambda: rig.served_by("a") == "stable", what="stable", timeout_s=10)
    assert took_s < 3.0
    rig.wait_for_canary()


def test_users_of_a_dead_canary_are_sent_to_stable_and_the_log_says_so(open_rig: Rig) -> None:
    def on_stable() -> bool:
        try:
            return open_rig.served_by("a") == "stable"
        except httpx.TransportError:
            return False  # HAProxy closes a client's connection when a kept connection to the version broke off

    os.kill(open_rig.canary.pid, signal.SIGKILL)
    wait_for(on_stable, what="stable", timeout_s=10)
    cursor = open_rig.router.requests_since(0)[1]
    assert open_rig.served_by("a") == "stable"
    (sample,) = requests_of(open_rig, 1, cursor)
    assert (sample.backend, sample.assigned) == ("stable", "canary")


def test_changing_the_share_under_load_fails_no_request(open_rig: Rig) -> None:
    ended, statuses = threading.Event(), []

    def ask(worker: int) -> None:
        user, body = {"X-User-Id": f"user-{worker}"}, os.urandom(30_000)
        with httpx.Client(timeout=20, trust_env=False) as client:
            while not ended.is_set():
                statuses.append(client.get(open_rig.router.url, headers=user).status_code)
                echo = client.post(open_rig.router.url + "/echo", headers=user, content=body)
                statuses.append(echo.status_code if echo.content == body else -1)
                statuses.append(client.get(open_rig.router.url + "/chunked", headers=user).status_code)

    workers = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for slots in [0, 5000, SLOTS] * 5:
        open_rig.router.set_share(slots, f"salt {slots}")
        count = len(statuses)
        wait_for(lambda count=count: len(statuses) > count + 10, what="requests", timeout_s=20)
    ended.set()
    for worker in workers:
        worker.join()
    assert set(statuses) == {200}


@pytest.mark.parametrize("request_text", [
    b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"nonsense\r\n\r\n",
])  # fmt: skip
def test_an_ambiguous_request_is_refused_and_the_router_lives_on(tmp_path: Path, request_text: bytes) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        open_router(kind="embedded", stable_url=url, candidate_url=url, salt="s", work_dir=tmp_path) as router,
        socket.create_connection(("127.0.0.1", int(router.url.rsplit(":", 1)[1])), timeout=20) as client,
    ):
        client.sendall(request_text)
        assert client.recv(4096).startswith(b"HTTP/1.1 400")
        assert httpx.get(router.url, trust_env=False).status_code == 503


def test_a_router_stops_at_the_end_of_the_block_and_when_it_is_closed_twice(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with open_router(kind="auto", stable_url=url, candidate_url=url, salt="s", work_dir=tmp_path) as router:
        router.close()
    with pytest.raises(httpx.TransportError):
        httpx.get(router.url, trust_env=False)


def test_haproxy_that_is_not_there_is_the_user_s_mistake_and_auto_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "find_haproxy", lambda: None)
    url = "http://127.0.0.1:1"
    with (
        pytest.raises(UsageError, match="HAProxy is not installed"),
        open_router(kind="haproxy", stable_url=url, candidate_url=url, salt="s", work_dir=tmp_path),
    ):
        pass
    with open_router(kind="auto", stable_url=url, candidate_url=url, salt="s", work_dir=tmp_path) as router:
        assert router.kind == "embedded"


def test_users_are_on_stable_soon_after_the_controller_is_killed(rig: Rig, tmp_path: Path) -> None:
    """A router dies with its owner; what must hold without it is the lease, which ends with its process too."""
    script = (
        "import sys, time\nfrom rollouts.lease import Lease\n"
        f"lease = Lease('http://127.0.0.1:{rig.canary_port}')\nlease.renew()\n"
        "print(lease.port, flush=True)\n"
        "while True:\n    lease.renew()\n    time.sleep(0.2)\n"
    )
    log = tmp_path / "controller.log"
    controller = start("controller", [sys.executable, "-c", script], log=log, cwd=Path(__file__).parents[2])
    wait_for(lambda: log.exists() and log.read_text().endswith("\n"), what="port", timeout_s=20)
    url = f"http://127.0.0.1:{int(log.read_text())}/lease"
    assert httpx.get(url, trust_env=False).status_code == 200
    os.kill(controller.pid, signal.SIGKILL)
    controller.wait(20)
    with pytest.raises(httpx.TransportError):
        httpx.get(url, trust_env=False)


def test_an_empty_user_id_is_no_user(open_rig: Rig) -> None:
    """All who are sent one would else share a slot, and a share of users would be any share of requests."""
    open_rig.router.set_share(SLOTS - 1)
    assert [open_rig.served_by(user) for user in ("", None)] == ["stable"] * 2

    def nobodies() -> list[RequestSample]:
        return [request for request in open_rig.router.requests_since(0)[0] if request.user_hash == "-"]

    wait_for(lambda: len(nobodies()) >= 2, what="both requests logged", timeout_s=20)
    assert [request.assigned for request in nobodies()] == ["stable"] * 2
