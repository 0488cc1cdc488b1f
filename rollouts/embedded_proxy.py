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
import socket
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rollouts.assignment import SLOTS, USER_HEADER, is_exposed, user_hash
from rollouts.exchange import CLIENT_SILENCE_S, Exchange, linger, own_answer
from rollouts.http_messages import MalformedMessage, Request, read_head, request_of
from rollouts.lease import CHECK_EVERY_S, CHECK_TIMEOUT_S
from rollouts.listening import most_connections, serve_connections
from rollouts.request_log import LogWriter, format_line
from rollouts.samples import Arm
from rollouts.version_connections import Version

_BACKLOG = 512
_USER_FIELD = USER_HEADER.lower().encode()


@dataclass(frozen=True)
class Settings:
    """Where to listen, where the versions, the lease and the control socket are, and the first salt."""

    port: int
    stable_url: str
    candidate_url: str
    lease_url: str | None
    control: str
    salt_key: str
    listener: int | None = None
    """The file descriptor of a listening socket to use instead of ``port``."""


@dataclass
class _Proxy:
    stable: Version
    canary: Version
    salt_key: str
    slots: int = 0
    canary_up: bool = False
    lease_until_s: float = math.inf
    """On the monotonic clock; infinite where the lease is asked for elsewhere."""
    log: LogWriter = field(default_factory=lambda: LogWriter(sys.stdout.fileno()))

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one client connection until it ends."""
        try:
            while (request := await _next_request(reader)) is not None:
                if not await self._serve_request(request, reader, writer):
                    break
        except MalformedMessage as error:
            writer.write(own_answer(400, "Bad Request", str(error)))
            await linger(reader, writer)
        except OSError:
            return  # the client is gone, or silent: nobody is left to be told
        finally:
            await _close(writer)

    async def _serve_request(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Pass one request on and log it; returns whether the client's connection can be used again."""
        started_at_s, started_s = time.time(), time.perf_counter()
        users = request.head.all(_USER_FIELD)
        user = users[-1].decode("latin-1") or None if users else None
        known_as = user_hash(users[-1] if user else None)
        assigned: Arm = "canary" if is_exposed(user, self.salt_key, self.slots) else "stable"
        holds = self.canary_up and time.monotonic() < self.lease_until_s
        version = self.canary if assigned == "canary" and holds else self.stable
        exchange = Exchange(version, request, reader, writer)
        try:
            again = await exchange.run()
        finally:
            latency_ms = ((exchange.switched_s or time.perf_counter()) - started_s) * 1000
            if exchange.reached:
                status = exchange.status
                self.log.write(format_line(started_at_s, latency_ms, status, version.arm, assigned, known_as))
        if exchange.unread:
            await linger(reader, writer)
        return again

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
            except (OSError, ValueError):  # ValueError: somebody else is there, and says no end of nonsense
                self.canary_up = False
            await asyncio.sleep(max(0.0, CHECK_EVERY_S - (time.monotonic() - asked_s)))


async def _next_request(reader: asyncio.StreamReader) -> Request | None:
    """None at the end of the connection. Raises MalformedMessage, and TimeoutError when no whole head comes."""
    async with asyncio.timeout(CLIENT_SILENCE_S):
        head = await read_head(reader)
    return None if head is None else request_of(head)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a client's connection, by force when it does not take what is left for it."""
    writer.close()
    try:
        async with asyncio.timeout(CLIENT_SILENCE_S):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()


async def _answers_200(port: int, path: str) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return (await reader.readline()).split(b" ")[1:2] == [b"200"]
    finally:
        writer.close()


async def _listens(version: Version) -> bool:
    _, writer = await asyncio.open_connection(version.host, version.port)
    writer.close()
    return True


def _version(arm: Arm, url: str) -> Version:
    address = urlsplit(url)
    return Version(arm, address.hostname or "127.0.0.1", address.port or 80)


async def _run(settings: Settings) -> None:
    proxy = _Proxy(
        _version("stable", settings.stable_url), _version("canary", settings.candidate_url), settings.salt_key
    )
    if settings.lease_url is None:
        proxy.lease_until_s = 0.0
    listener = (
        socket.create_server(("127.0.0.1", settings.port), backlog=_BACKLOG)
        if settings.listener is None
        else socket.socket(fileno=settings.listener)
    )
    users = asyncio.create_task(serve_connections(listener, proxy.serve_client, most_connections()))
    control = await asyncio.start_unix_server(proxy.obey, settings.control)  # last: its file says that we are ready
    async with control:
        await asyncio.gather(users, proxy.watch_lease(settings.lease_url))


def main() -> None:
    """Route until terminated."""
    os.umask(0o077)  # whoever opens the control socket decides who sees the candidate
    asyncio.run(_run(Settings(**json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
