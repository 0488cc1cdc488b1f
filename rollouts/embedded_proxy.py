"""The embedded router's own process: ``python -m rollouts.embedded_proxy SETTINGS`` (JSON, see ``Settings``).

An HTTP/1.1 reverse proxy on 127.0.0.1 that assigns users to versions, streams bodies, keeps connections alive on both
sides and writes one line per request to standard output. It obeys commands on a Unix socket, one JSON object a line:
``{"slots": 500, "salt_key": null}``, ``{"lease_s": 10}``, ``{"read": true}``. Twice a second it asks for the lease at
``lease_url``; without one it keeps the lease that it was given itself, and looks whether the candidate listens.
"""

import asyncio
import json
import math
import os
import sys
import time
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rollouts.assignment import SLOTS, USER_HEADER, is_exposed, user_hash
from rollouts.http_messages import (
    MAX_HEAD_BYTES,
    Head,
    MalformedMessage,
    copy_bytes,
    copy_chunks,
    copy_until_end,
    read_head,
)
from rollouts.lease import CHECK_EVERY_S, CHECK_TIMEOUT_S
from rollouts.request_log import format_line
from rollouts.samples import Arm

_CONNECT_TIMEOUT_S = 2.0
_ANSWER_TIMEOUT_S = 10.0
_IDLE_CONNECTION_S = 2.0
"""Shorter than a server's own keep-alive (5 s for uvicorn), so that no request meets a connection that just closes."""
_USER_FIELD = USER_HEADER.lower().encode()
_REPEATABLE = frozenset({b"GET", b"HEAD"})


@dataclass(frozen=True)
class Settings:
    """Where to listen, where the versions, the lease and the control socket are, and the first salt."""

    port: int
    stable_url: str
    candidate_url: str
    lease_url: str | None
    control: str
    salt_key: str


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_new: bool = True
    idle_since_s: float = 0.0


@dataclass
class _Version:
    """One version behind the proxy, with its idle connections."""

    arm: Arm
    host: str
    port: int
    idle: deque[_Connection] = field(default_factory=deque)

    async def connect(self, *, fresh: bool) -> _Connection:
        now_s = time.monotonic()
        while self.idle and not fresh:
            connection = self.idle.pop()
            if now_s - connection.idle_since_s < _IDLE_CONNECTION_S and not connection.reader.at_eof():
                connection.is_new = False
                return connection
            connection.writer.close()
        opening = asyncio.open_connection(self.host, self.port, limit=MAX_HEAD_BYTES)
        return _Connection(*await asyncio.wait_for(opening, _CONNECT_TIMEOUT_S))

    def keep(self, connection: _Connection) -> None:
        connection.idle_since_s = time.monotonic()
        self.idle.append(connection)


@dataclass
class _Proxy:
    stable: _Version
    canary: _Version
    salt_key: str
    slots: int = 0
    canary_up: bool = False
    lease_until_s: float = math.inf
    """On the monotonic clock; infinite where the lease is asked for elsewhere."""

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one client connection until it ends."""
        try:
            while (head := await read_head(reader)) is not None:
                if not await self._serve_request(head, reader, writer):
                    break
        except MalformedMessage as error:
            writer.write(_own_answer(400, "Bad Request", str(error)))
        except ConnectionError:
            return  # the client is gone: nobody is left to be told
        finally:
            writer.close()

    async def _serve_request(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass one request on and log it; returns whether the client's connection can be used again."""
        started_at_s, started_s = time.time(), time.perf_counter()
        users = head.all(_USER_FIELD)
        user = users[-1].decode("latin-1") if users else None
        assigned: Arm = "canary" if is_exposed(user, self.salt_key, self.slots) else "stable"
        holds = self.canary_up and time.monotonic() < self.lease_until_s
        version = self.canary if assigned == "canary" and holds else self.stable
        exchange = _Exchange(version, head, reader, writer)
        try:
            return await exchange.run()
        finally:
            latency_ms = (time.perf_counter() - started_s) * 1000
            line = format_line(started_at_s, latency_ms, exchange.status, version.arm, assigned, user_hash(user))
            os.write(1, line)

    async def obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry out the commands of one control connection."""
        while line := await reader.readline():
            writer.write(self._carry_out(line))
        writer.close()

    def _carry_out(self, line: bytes) -> bytes:
        """Do what one line of the control socket says; returns the answer."""
        try:
            command = json.loads(line)
            if "read" in command:
                left_s = max(0.0, self.lease_until_s - time.monotonic())
                routing = {"slots": self.slots, "salt_key": self.salt_key, "lease_left_s": left_s}
                return json.dumps(routing).encode() + b"\n"
            if "lease_s" in command:
                self.lease_until_s = time.monotonic() + float(command["lease_s"])
                return b"ok\n"
            slots, salt_key = int(command["slots"]), command["salt_key"]
        except (ValueError, KeyError, TypeError) as error:
            return f"wrong command: {error}\n".encode()
        if not 0 <= slots <= SLOTS:
            return b"slots out of range\n"
        self.slots, self.salt_key = slots, salt_key or self.salt_key
        return b"ok\n"

    async def watch_lease(self, url: str | None) -> None:
        """Keep ``canary_up`` as the lease says, or as the candidate is."""
        address = urlsplit(url or "")
        while True:
            asked_s = time.monotonic()
            check = _answers_200(address.port or 80, address.path) if url else _listens(self.canary)
            try:
                self.canary_up = await asyncio.wait_for(check, CHECK_TIMEOUT_S)
            except (OSError, TimeoutError):
                self.canary_up = False
            await asyncio.sleep(max(0.0, CHECK_EVERY_S - (time.monotonic() - asked_s)))


@dataclass
class _Exchange:
    """One request and its answer. ``status`` is what the client was told; 0: nothing."""

    version: _Version
    head: Head
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0

    async def run(self) -> bool:
        """Returns whether the client's connection can be used again. Raises MalformedMessage for the request's."""
        parts = self.head.start.split(b" ")
        if len(parts) != 3:
            raise MalformedMessage("the request line is wrong")
        method, protocol = parts[0], parts[2]
        length, chunked = self.head.content_length(), self.head.is_chunked()
        close = protocol != b"HTTP/1.1" or b"close" in self.head.tokens(b"connection")
        if b"100-continue" in self.head.tokens(b"expect"):
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        repeatable = method in _REPEATABLE and not length and not chunked
        try:
            connection, answer = await self._ask(length, chunked, repeatable)
        except TimeoutError:
            return self._fail(504, "Gateway Timeout")
        except (OSError, MalformedMessage):
            return self._fail(503, "Service Unavailable")
        try:
            reusable = await self._pass_back(connection, answer, method, close)
        except (OSError, MalformedMessage):
            # The answer broke off, or the client left: its start is out already, so only the connection can tell.
            connection.writer.close()
            if self.status < 500:
                self.status = 0
            return False
        if reusable:
            self.version.keep(connection)
        else:
            connection.writer.close()
        return not close

    async def _ask(self, length: int | None, chunked: bool, repeatable: bool) -> tuple[_Connection, Head]:
        """Send the request and read the head of its answer; a stale connection is replaced once if that is safe."""
        connection = await self.version.connect(fresh=False)
        try:
            return connection, await _within(self._send(connection, length, chunked))
        except (OSError, MalformedMessage, TimeoutError) as error:
            connection.writer.close()
            if connection.is_new or not repeatable or isinstance(error, TimeoutError):
                raise
        connection = await self.version.connect(fresh=True)
        try:
            return connection, await _within(self._send(connection, length, chunked))
        except BaseException:
            connection.writer.close()
            raise

    async def _send(self, connection: _Connection, length: int | None, chunked: bool) -> Head:
        connection.writer.write(self.head.forwarded(close=False))
        if chunked:
            await copy_chunks(self.reader, connection.writer)
        elif length:
            await copy_bytes(self.reader, connection.writer, length)
        while True:
            answer = await read_head(connection.reader)
            if answer is None:
                raise MalformedMessage("the version closed the connection without an answer")
            if not answer.start.split(b" ")[1:2][0].startswith(b"1"):
                return answer

    async def _pass_back(self, connection: _Connection, answer: Head, method: bytes, close: bool) -> bool:
        """Copy the answer to the client; returns whether the version's connection can be used again."""
        status = int(answer.start.split(b" ")[1])
        length, chunked = answer.content_length(), answer.is_chunked()
        has_body = method != b"HEAD" and status not in (204, 304)
        until_end = has_body and length is None and not chunked
        self.writer.write(answer.forwarded(close=close or until_end))
        if has_body and chunked:
            await copy_chunks(connection.reader, self.writer)
        elif has_body and length is not None:
            await copy_bytes(connection.reader, self.writer, length)
        elif until_end:
            await copy_until_end(connection.reader, self.writer)
        await self.writer.drain()
        self.status = status
        if until_end:
            self.writer.close()
        return not until_end and b"close" not in answer.tokens(b"connection")

    def _fail(self, status: int, reason: str) -> bool:
        self.status = status
        self.writer.write(_own_answer(status, reason, f"the {self.version.arm} version does not answer"))
        return False  # the request's body may not have been read


async def _within(asking: Awaitable[Head]) -> Head:
    return await asyncio.wait_for(asking, _ANSWER_TIMEOUT_S)


def _own_answer(status: int, reason: str, text: str) -> bytes:
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body


async def _answers_200(port: int, path: str) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return (await reader.readline()).split(b" ")[1:2] == [b"200"]
    finally:
        writer.close()


async def _listens(version: _Version) -> bool:
    _, writer = await asyncio.open_connection(version.host, version.port)
    writer.close()
    return True


def _version(arm: Arm, url: str) -> _Version:
    address = urlsplit(url)
    return _Version(arm, address.hostname or "127.0.0.1", address.port or 80)


async def _run(settings: Settings) -> None:
    proxy = _Proxy(
        _version("stable", settings.stable_url), _version("canary", settings.candidate_url), settings.salt_key
    )
    if settings.lease_url is None:
        proxy.lease_until_s = 0.0
    users = await asyncio.start_server(
        proxy.serve_client, "127.0.0.1", settings.port, limit=MAX_HEAD_BYTES, backlog=512
    )
    control = await asyncio.start_unix_server(proxy.obey, settings.control)  # last: its file says that we are ready
    async with users, control:
        await proxy.watch_lease(settings.lease_url)


def main() -> None:
    """Route until terminated."""
    os.umask(0o077)  # whoever opens the control socket decides who sees the candidate
    asyncio.run(_run(Settings(**json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
