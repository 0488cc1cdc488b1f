"""What both routers do with requests and answers: the same contract, whatever goes wrong on either side."""

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from processes.ports import free_port
from processes.wait import wait_for
from rollouts.open_router import open_router
from rollouts.router import Router
from rollouts.samples import RequestSample
from tests.integration.scripted_version import (
    OK,
    Script,
    read_exactly,
    read_until,
    reset,
    scripted_version,
)
from tests.integration.test_routers import KINDS

LARGE = 20_000_000


@dataclass
class Routed:
    """A router before one scripted version (stable)."""

    router: Router

    @contextmanager
    def client(self) -> Iterator[socket.socket]:
        address = urlsplit(self.router.url)
        assert address.hostname is not None
        assert address.port is not None
        with socket.create_connection((address.hostname, address.port), timeout=30) as client:
            yield client

    def get(self, path: str = "/", **more: Any) -> httpx.Response:
        return httpx.get(self.router.url + path, trust_env=False, timeout=30, **more)

    def logged(self, count: int) -> list[RequestSample]:
        wait_for(lambda: len(self.router.requests_since(0)[0]) >= count, what=f"{count} requests", timeout_s=20)
        return self.router.requests_since(0)[0]


@pytest.fixture(params=KINDS)
def behind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Script], Any]]:
    """Opens a router of each kind before a version that does as it is told."""

    @contextmanager
    def routed(script: Script) -> Iterator[Routed]:
        unused = f"http://127.0.0.1:{free_port()}"
        with (
            scripted_version(script) as url,
            open_router(
                kind=request.param, stable_url=url, candidate_url=unused, salt="s", work_dir=tmp_path
            ) as router,
        ):
            yield Routed(router)

    return routed


Behind = Callable[[Script], Any]


def answer_ok(connection: socket.socket, head: bytes) -> None:
    connection.sendall(OK)


def test_an_answer_streams_piece_by_piece(behind: Behind) -> None:
    seen = threading.Event()

    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert seen.wait(20)
        connection.sendall(b"6\r\nsecond\r\n0\r\n\r\n")

    with behind(script) as routed, httpx.stream("GET", routed.router.url, trust_env=False, timeout=20) as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"first"
        seen.set()
        assert b"".join(pieces) == b"second"


def test_a_request_streams_piece_by_piece(behind: Behind) -> None:
    arrived = threading.Event()

    def script(connection: socket.socket, head: bytes) -> None:
        assert b"transfer-encoding: chunked" in head.lower()
        read_until(connection, b"first\r\n")
        arrived.set()
        read_until(connection, b"0\r\n\r\n")
        connection.sendall(OK)

    with behind(script) as routed, routed.client() as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert arrived.wait(20)
        client.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
        assert read_until(client, b"ok").startswith(b"HTTP/1.1 200")


def test_large_bodies_arrive_whole_in_both_directions(behind: Behind) -> None:
    body = os.urandom(LARGE)

    def script(connection: socket.socket, head: bytes) -> None:
        digest = hashlib.sha256(read_exactly(connection, LARGE)).hexdigest()
        connection.sendall(b"HTTP/1.1 200 OK\r\nx-digest: %s\r\ncontent-length: %d\r\n\r\n" % (digest.encode(), LARGE))
        connection.sendall(body)

    with behind(script) as routed:
        answer = httpx.post(routed.router.url, content=body, trust_env=False, timeout=60)
    assert answer.headers["x-digest"] == hashlib.sha256(body).hexdigest()
    assert answer.content == body


def test_one_connection_serves_request_after_request_pipelined_ones_too(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        path = head.split(b" ")[1]
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(path), path))

    with behind(script) as routed, routed.client() as client:
        for path in (b"/one", b"/two"):
            client.sendall(b"GET %s HTTP/1.1\r\nhost: a\r\n\r\n" % path)
            assert read_until(client, b"\r\n\r\n" + path)
        client.sendall(b"GET /three HTTP/1.1\r\nhost: a\r\n\r\nGET /four HTTP/1.1\r\nhost: a\r\n\r\n")
        assert read_until(client, b"/three")
        assert read_until(client, b"/four")
        client.sendall(b"GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert b"connection: close" in read_until(client, b"/last").lower()
        assert client.recv(1) == b""


def test_an_answer_to_head_has_a_length_and_no_body(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(OK if head.startswith(b"GET") else OK.removesuffix(b"ok"))

    with behind(script) as routed, httpx.Client(trust_env=False, timeout=20) as client:
        answer = client.head(routed.router.url)
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "2", b"")
        assert client.get(routed.router.url).text == "ok"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_can_have_no_body_does_not_hold_the_connection_up(behind: Behind, status: int) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(OK if b"/ok" in head else b"HTTP/1.1 %d Empty\r\n\r\n" % status)

    with behind(script) as routed, httpx.Client(trust_env=False, timeout=20) as client:
        assert client.get(routed.router.url).status_code == status
        assert client.get(routed.router.url + "/ok").text == "ok"


def test_an_answer_that_ends_with_its_connection_arrives_whole(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        connection.shutdown(socket.SHUT_WR)

    with behind(script) as routed:
        assert routed.get().text == "all of it"


def test_interim_answers_come_before_the_answer(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n" + OK)

    with behind(script) as routed, routed.client() as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        said = read_until(client, b"ok").lower()
        assert said.startswith(b"http/1.1 103")
        assert b"link: </a.css>" in said
        assert b"http/1.1 200" in said


def test_a_client_that_waits_to_be_told_to_go_on_is_told(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        if b"100-continue" in head.lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert read_exactly(connection, 4) == b"body"
        connection.sendall(OK)

    with behind(script) as routed, routed.client() as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        client.sendall(b"body")
        assert read_until(client, b"ok").startswith(b"HTTP/1.1 200")


def test_a_version_may_answer_before_it_has_read_the_request(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
        connection.shutdown(socket.SHUT_WR)
        read_exactly(connection, LARGE)

    with behind(script) as routed, routed.client() as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % LARGE + b"x" * 1000)
        assert read_until(client, b"\r\n\r\nno").startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("sent", [
    b"GET / HT",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhalf",
])  # fmt: skip
@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_a_client_that_leaves_within_its_request_harms_nobody(
    behind: Behind, sent: bytes, leave: Callable[[socket.socket], None]
) -> None:
    heads = []

    def script(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        if b"POST" in head:
            read_exactly(connection, 1000)
        connection.sendall(OK)

    with behind(script) as routed:
        with routed.client() as client:
            client.sendall(sent)
            if b"POST" in sent:
                wait_for(lambda: bool(heads), what="the request", timeout_s=20)
            leave(client)
        assert routed.get().text == "ok"
        wait_for(lambda: 200 in [r.status for r in routed.logged(1)], what="the good request logged", timeout_s=20)
        assert [request.status for request in routed.logged(1) if request.is_error] == []


def test_a_user_who_gives_up_waiting_counts_by_what_the_version_then_answers(behind: Behind) -> None:
    asked, gone = threading.Event(), threading.Event()

    def script(connection: socket.socket, head: bytes) -> None:
        if b"/slow" in head:
            asked.set()
            assert gone.wait(20)
        connection.sendall(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n" if b"/slow" in head else OK)

    with behind(script) as routed:
        with routed.client() as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
            assert asked.wait(20)
            reset(client)
        assert routed.get().text == "ok"
        gone.set()
        assert sorted(request.status for request in routed.logged(2)) == [200, 500]


def test_a_client_that_leaves_within_the_answer_is_not_the_version_s_error(behind: Behind) -> None:
    gone = threading.Event()

    def script(connection: socket.socket, head: bytes) -> None:
        if b"/ok" in head:
            connection.sendall(OK)
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\nstart" % LARGE)
        assert gone.wait(20)
        connection.sendall(b"x" * (LARGE - 5))

    with behind(script) as routed:
        with routed.client() as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            read_until(client, b"start")
            reset(client)
        gone.set()
        assert routed.get("/ok").text == "ok"
        assert [request.is_error for request in routed.logged(2)] == [False, False]


def test_a_version_that_is_not_there_is_an_error_of_its_own(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        raise OSError

    with behind(script) as routed:
        assert routed.get().status_code in (502, 503)
        (request,) = routed.logged(1)
        assert request.is_unavailable


@pytest.mark.parametrize("start", [
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf",
])  # fmt: skip
@pytest.mark.parametrize("leave", [lambda connection: connection.shutdown(socket.SHUT_RDWR), reset])
def test_an_answer_that_breaks_off_never_looks_whole_and_is_the_version_s_error(
    behind: Behind, start: bytes, leave: Callable[[socket.socket], None]
) -> None:
    half_read = threading.Event()

    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(start)
        assert half_read.wait(20)
        leave(connection)

    with behind(script) as routed:
        with httpx.stream("GET", routed.router.url, trust_env=False, timeout=20) as answer:
            pieces = answer.iter_raw()
            assert next(pieces) == b"half"
            half_read.set()
            with pytest.raises(httpx.TransportError):
                next(pieces)
        (request,) = routed.logged(1)
        assert request.is_error


def test_a_silent_version_is_given_up_after_ten_seconds_and_a_slow_upload_is_not(behind: Behind) -> None:
    """All three at once. Before the end of its request a version has nothing to say, however long that takes."""
    starts = {b"/mute": b"", b"/half": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"}
    over = threading.Event()

    def script(connection: socket.socket, head: bytes) -> None:
        path = head.split(b" ")[1]
        if path in starts:
            connection.sendall(starts[path])
            over.wait(30)
            connection.close()
        else:
            read_exactly(connection, 12)
            connection.sendall(OK)

    with behind(script) as routed, routed.client() as mute, routed.client() as half, routed.client() as slow:
        mute.sendall(b"GET /mute HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        half.sendall(b"GET /half HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        slow.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 12\r\n\r\n")
        for _ in range(12):
            slow.sendall(b"x")
            over.wait(1)
        assert read_until(slow, b"ok").startswith(b"HTTP/1.1 200")
        assert read_exactly(mute, 10_000).startswith(b"HTTP/1.1 504")
        assert read_exactly(half, 10_000).endswith(b"half")
        over.set()
        silent = [request for request in routed.logged(3) if request.is_error]
        assert len(silent) == 2
        assert all(9_000 < request.latency_ms < 13_000 for request in silent)


@pytest.mark.parametrize("sent", [
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: " + b"1" * 5000 + b"\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nx y: a\r\n\r\n",
    b"nonsense\r\n\r\n",
])  # fmt: skip
def test_a_request_that_nobody_understands_is_its_sender_s_fault_alone(behind: Behind, sent: bytes) -> None:
    heads = []

    def script(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        connection.sendall(OK)

    with behind(script) as routed:
        with routed.client() as client:
            client.sendall(sent)
            assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert routed.get().text == "ok"
        assert [request.status for request in routed.logged(1)] == [200]
    assert len(heads) == 1


@pytest.mark.parametrize("named", [b"content-length", b"transfer-encoding"])
def test_no_body_becomes_a_request_because_a_connection_field_names_its_length(behind: Behind, named: bytes) -> None:
    hidden, heads = b"GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n", []

    def script(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        if b"content-length" in head.lower():
            read_exactly(connection, len(hidden))
        elif b"transfer-encoding" in head.lower():
            read_until(connection, b"0\r\n\r\n")
        connection.sendall(OK)

    body = hidden if named == b"content-length" else b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
    length = b"%d" % len(hidden) if named == b"content-length" else b"chunked"
    with behind(script) as routed:
        with routed.client() as client:
            client.sendall(
                b"POST / HTTP/1.1\r\nhost: a\r\nconnection: %s\r\n%s: %s\r\n\r\n%s" % (named, named, length, body)
            )
            read_until(client, b"ok")
        assert routed.get("/next").text == "ok"
    assert [head.split(b" ")[1] for head in heads] == [b"/", b"/next"]


@pytest.mark.parametrize("first", [
    OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    b"HTTP/1.1 204 Empty\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
])  # fmt: skip
def test_bytes_that_nobody_asked_for_are_not_the_next_user_s_answer(behind: Behind, first: bytes) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(first if b"/first" in head else OK)

    with behind(script) as routed:
        assert routed.get("/first").status_code in (200, 204)
        assert routed.get("/second").text == "ok"


def test_a_connection_that_a_version_of_http_1_0_has_ended_meets_no_other_request(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        read_exactly(connection, 4)
        connection.sendall(OK.replace(b"HTTP/1.1", b"HTTP/1.0"))
        connection.shutdown(socket.SHUT_RDWR)

    with behind(script) as routed, httpx.Client(trust_env=False, timeout=20) as client:
        answers = [client.post(routed.router.url, content=b"body").status_code for _ in range(30)]
        assert set(answers) == {200}
