"""What both routers do with hostile users and broken versions: nobody gets at somebody else's answer, and nobody is
blamed for what he did not do."""

import asyncio
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from processes.wait import wait_for
from rollouts import embedded_proxy
from rollouts.http_messages import Copy, NotTaken, drained
from rollouts.listening import MOST_CONNECTIONS, serve_connections
from rollouts.open_router import open_router
from tests.integration.scripted_version import OK, read_exactly, read_until, scripted_version
from tests.integration.test_router_messages import Behind, Routed, behind

__all__ = ["behind"]

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nhost: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n"
REFUSED = [
    GET + b"x: a\rtransfer-encoding: chunked\r\n\r\n",
    GET + b"x y: a\r\n\r\n",
    GET + b"transfer-encoding\x0b: chunked\r\n\r\n",
    b"GET /\ngonogo HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET /\r\n\r\n",
    b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +2\r\n\r\nxx",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\nxx",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n",
    CHUNKED + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    GET + b"x-user-id: " + b"u" * 70_000 + b"\r\n\r\n",
]
NONSENSE_IN_CHUNKS = [b"0x5\r\nhello\r\n", b"+5\r\nhello\r\n", b"-1\r\nhello\r\n", b"5_0\r\nhello\r\n",
                      b" 5\r\nhello\r\n", b"5\r\nhelloXX"]  # fmt: skip
REWRITTEN = [
    b"POST / HTTP/1.1\r\nhost: a\r\nconnection: content-length\r\ncontent-length: %d\r\n\r\n" % len(SMUGGLED)
    + SMUGGLED,
    CHUNKED + b"connection: transfer-encoding\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
    b"GET / HTTP/1.1\ntransfer-encoding:chunked\r\nhost: a\r\n\r\n",
    GET + b"x: a\r\n b: c\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nxx",
    b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
    b"\r\n" + GET + b"\r\n",
    CHUNKED + b"\r\n5;a=\nb\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"\r\n0\r\nx: y\r\n\r\n",
]


class Watched:
    """A version that notes every request, whole, and answers each with 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes]] = []

    def script(self, connection: socket.socket, head: bytes) -> None:
        lower, body = head.lower(), b""
        if b"\r\ntransfer-encoding: chunked\r\n" in lower:
            while not body.endswith((b"\r\n0\r\n\r\n", b"\r\nx: y\r\n\r\n")) and body != b"0\r\n\r\n":
                piece = connection.recv(1)
                if not piece:
                    return
                body += piece
        elif length := re.search(rb"\r\ncontent-length: (\d+)\r\n", lower):
            body = read_exactly(connection, int(length[1]))
        self.requests.append((head, body))
        connection.sendall(OK)


def said_to(routed: Routed, text: bytes) -> bytes:
    """What a client hears that says ``text`` and nothing more."""
    heard = b""
    # The router may have answered and gone before all was said.
    with routed.client() as client, suppress(OSError):
        client.sendall(text)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        while piece := client.recv(10_000):
            heard += piece
    return heard


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_two_readers_may_take_for_two_messages_is_refused_and_nobody_is_blamed(
    behind: Behind, text: bytes
) -> None:
    version = Watched()
    with behind(version.script) as routed:
        assert said_to(routed, text).startswith(b"HTTP/1.1 400")
        assert routed.get("/after").text == "ok"
        assert [head.split(b" ")[1] for head, _ in version.requests] == [b"/after"]
        wait_for(lambda: bool(routed.logged(1)), what="the good request logged", timeout_s=20)
        assert [request.status for request in routed.logged(1)] == [200]


@pytest.mark.parametrize("body", NONSENSE_IN_CHUNKS)
def test_a_chunk_that_is_none_ends_the_request_and_is_not_the_version_s_error(behind: Behind, body: bytes) -> None:
    version = Watched()
    with behind(version.script) as routed:
        assert said_to(routed, CHUNKED + b"\r\n" + body + b"0\r\n\r\n" + SMUGGLED).startswith(b"HTTP/1.1 400")
        assert routed.get("/after").text == "ok"
        assert [head.split(b" ")[1] for head, _ in version.requests] == [b"/after"]
        assert not any(request.is_error for request in routed.logged(1))


@pytest.mark.parametrize("text", REWRITTEN, ids=range(len(REWRITTEN)))
def test_a_request_that_is_passed_on_can_be_read_in_one_way_only(behind: Behind, text: bytes) -> None:
    version = Watched()
    with behind(version.script) as routed:
        said_to(routed, text)
        assert routed.get("/after").text == "ok"
        for head, body in version.requests:
            fields = [line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:-2]]
            assert b"\n" not in head.replace(b"\r\n", b"")
            assert b"\n" not in body.replace(b"\r\n", b"")
            assert sum(name in (b"content-length", b"transfer-encoding") for name in fields) <= 1
        assert b"/smuggled" not in [head.split(b" ")[1] for head, _ in version.requests]
        assert not any(request.is_error for request in routed.logged(1))


@pytest.mark.parametrize("text", [
    b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
])  # fmt: skip
def test_what_a_version_says_too_much_reaches_no_other_user(behind: Behind, text: bytes) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(text if b"/first" in head else OK)

    with behind(script) as routed:
        for _ in range(5):
            assert routed.get("/first").text in ("", "ok")
            assert routed.get("/second").text == "ok"


@pytest.mark.parametrize("text", [
    b"HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
])  # fmt: skip
def test_an_answer_that_is_none_is_the_version_s_error(behind: Behind, text: bytes) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(text)

    with behind(script) as routed:
        assert not said_to(routed, GET + b"\r\n").startswith(b"HTTP/1.1 4")
        (request,) = routed.logged(1)
        assert request.is_error


def test_a_version_may_answer_while_the_request_still_comes_and_gets_all_of_it(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(5):
            connection.sendall(b"4\r\n%s\r\n" % read_exactly(connection, 4))
        connection.sendall(b"0\r\n\r\n")

    with behind(script) as routed, routed.client() as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n")
        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        for piece in (b"%04d\r\n" % n for n in range(5)):
            client.sendall(piece[:4])
            assert read_until(client, piece)
        assert [request.status for request in routed.logged(1)] == [200]


def test_what_a_user_still_sends_after_an_early_answer_is_not_the_version_s_time(behind: Behind) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")

    with behind(script) as routed:
        with routed.client() as client:
            client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nxx")
            assert read_until(client, b"no")
        (request,) = routed.logged(1)
        assert (request.status, request.latency_ms < 1000) == (413, True)


def test_an_upgraded_connection_may_be_silent_and_a_version_that_takes_no_upload_is_given_up(behind: Behind) -> None:
    """Both at once, because both take eleven seconds."""
    over = threading.Event()

    def script(connection: socket.socket, head: bytes) -> None:
        if b"/upload" in head:
            over.wait(30)
            connection.close()
            return
        answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        connection.sendall(answer + b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        while piece := connection.recv(100):
            connection.sendall(piece)
        connection.close()

    def upload(client: socket.socket) -> None:
        try:
            client.sendall(b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 50000000\r\n\r\n" + bytes(50_000_000))
        except OSError:
            return  # it was given up, as it should be

    with behind(script) as routed, routed.client() as socket_client, routed.client() as loader:
        loading = threading.Thread(target=upload, args=(loader,))
        loading.start()
        socket_client.sendall(
            GET + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert read_until(socket_client, b"\r\n\r\n").startswith(b"HTTP/1.1 101")
        socket_client.sendall(b"ping")
        assert read_exactly(socket_client, 4) == b"ping"
        (given_up,) = routed.logged(1)
        assert given_up.is_error
        assert 9_000 < given_up.latency_ms < 13_000
        over.wait(1)
        socket_client.sendall(b"pong")
        assert read_exactly(socket_client, 4) == b"pong"
        socket_client.close()
        over.set()
        loading.join()
        (switched,) = [request for request in routed.logged(2) if request is not given_up and not request.is_error]
        assert (switched.status, switched.latency_ms < 5_000) == (101, True)


@pytest.mark.parametrize("fields", [
    b"", b"x-user-id:\r\n", b"x-user-id: ada\r\nX-USER-ID: bob\r\n", b"X-User-ID:  bob \t \r\n",
    b"x-user-id: ada, bob\r\n", b"x-user-id: zo\xc3\xab\r\n", b"x-user-id: " + b"u" * 14_000 + b"\r\n",
    b"x-user-id: gonogo 1 0 0 0 500 canary canary x\r\n",
])  # fmt: skip
def test_a_user_is_whom_the_last_field_names_and_the_log_holds_a_hash_of_him_alone(
    behind: Behind, fields: bytes
) -> None:
    plain = {b"": b"", b"x-user-id: ada\r\nX-USER-ID: bob\r\n": b"x-user-id: bob\r\n",
             b"X-User-ID:  bob \t \r\n": b"x-user-id: bob\r\n"}.get(fields, fields)  # fmt: skip
    with behind(Watched().script) as routed:
        for some in (fields, plain):
            assert said_to(routed, GET + some + b"\r\n").startswith(b"HTTP/1.1 200")
        one, other = routed.logged(2)
        assert one.user_hash == other.user_hash
        assert (one.user_hash == "-") == (fields in (b"", b"x-user-id:\r\n"))
        assert re.fullmatch(r"[-0-9a-f]{1,20}", one.user_hash)
        assert (one.backend, one.status) == ("stable", 200)


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, socket.socket]]:
    """A stream and the socket at its other end."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        yield reader, writer, theirs
    finally:
        writer.transport.abort()
        theirs.close()


def test_whoever_takes_nothing_is_given_up_and_whoever_takes_little_is_not() -> None:
    async def write() -> None:
        async with pair() as (_, writer, theirs):
            theirs.setblocking(False)
            writer.write(bytes(5_000_000))
            slowly = asyncio.ensure_future(drained(writer, 0.2))
            for _ in range(4):
                await asyncio.sleep(0.15)
                theirs.recv(500_000)
                assert not slowly.done()
            with pytest.raises(NotTaken):
                await slowly

    asyncio.run(write())


def test_a_client_that_never_ends_its_head_or_its_body_does_not_keep_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded_proxy, "CLIENT_SILENCE_S", 0.1)

    async def trickle() -> None:
        async with pair() as (reader, writer, theirs):
            theirs.sendall(b"GET / HTTP/1.1\r\nx: ")
            with pytest.raises(TimeoutError):
                await embedded_proxy._next_request(reader)
            with pytest.raises(TimeoutError):
                await Copy(reader, writer, 0.1, 0.1).counted(1_000)

    asyncio.run(trickle())


def test_more_clients_than_places_wait_until_one_is_free() -> None:
    """Nobody is refused, and the proxy never has more sockets open than it may."""
    now, most = 0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        writer.write(await reader.read(10))
        await writer.drain()
        writer.close()
        now -= 1

    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.01)
        writer.write(b"hello")
        answer = await reader.read()
        writer.close()
        return answer

    async def run() -> list[bytes]:
        with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
            serving = asyncio.create_task(serve_connections(listener, serve, 3))
            answers = await asyncio.gather(*(ask(listener.getsockname()[1]) for _ in range(30)))
            serving.cancel()
            return answers

    assert asyncio.run(run()) == [b"hello"] * 30
    assert most == 3


@pytest.mark.parametrize(("limit", "most"), [(400, 50), (64, 1), (1_000_000, MOST_CONNECTIONS)])
def test_there_are_never_more_places_than_sockets_for_them(limit: int, most: int) -> None:
    script = (
        "import resource, sys\nlimit = int(sys.argv[1])\nhard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (min(32, limit), min(limit, hard)))\n"
        "from rollouts.listening import most_connections\nprint(most_connections())\n"
    )
    argv = [sys.executable, "-c", script, str(limit)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2], timeout=60)
    assert int(said.stdout) == most


def test_the_sockets_of_many_users_are_given_back(tmp_path: Path) -> None:
    """After a crowd has gone, an embedded proxy holds no more sockets than before."""

    def open_files(pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    with (
        scripted_version(Watched().script) as url,
        open_router(kind="embedded", stable_url=url, candidate_url=url, salt="s", work_dir=tmp_path) as router,
    ):
        routed = Routed(router)
        assert routed.get().text == "ok"
        pid = router._process.pid  # type: ignore[attr-defined]
        before = open_files(pid)
        crowd = [socket.create_connection(("127.0.0.1", int(router.url.rsplit(":", 1)[1])), 20) for _ in range(150)]
        for client in crowd:
            client.sendall(GET + b"\r\n")
        for client in crowd:
            assert read_until(client, b"ok")
        assert open_files(pid) > before + 150
        for client in crowd:
            client.close()
        wait_for(lambda: open_files(pid) <= before, what="the crowd's sockets closed", timeout_s=20)
