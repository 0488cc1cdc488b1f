"""The embedded router's own process: ``python -m rollouts.embedded_proxy SETTINGS`` (JSON, see ``Settings``).

An HTTP/1.1 reverse proxy on 127.0.0.1 that assigns users to versions, streams bodies, keeps connections alive on both
sides and writes one line per request to standard output. It obeys commands on a Unix socket, one JSON object a line:
``{"slots": 500, "salt_key": null}``, ``{"lease_s": 10}``, ``{"read": true}``. Twice a second it asks for the lease at
``lease_url``; without one it keeps the lease that it was given itself, and looks whether the candidate listens.
"""

import asyncio
import json
import logging
import math
import os
import socket
import sys
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from rollouts.assignment import SLOTS, USER_HEADER, is_exposed, user_hash
from rollouts.exchange import Exchange, Version, own_answer
from rollouts.http_messages import MAX_HEAD_BYTES, Head, MalformedMessage, read_head
from rollouts.lease import CHECK_EVERY_S, CHECK_TIMEOUT_S
from rollouts.request_log import format_line
from rollouts.samples import Arm

_BACKLOG = 512
_NEXT_HEAD_WITHIN_S = 60.0
"""How long a user's connection may be idle, and how long the head of a request may take; half-open ones end thus."""
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
    log_is_torn: bool = False
    log_fails: bool = False

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one client connection until it ends."""
        # asyncio does so for the sockets that it opens itself; a listener that was handed over has no protocol number.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while (head := await asyncio.wait_for(read_head(reader), _NEXT_HEAD_WITHIN_S)) is not None:
                if not await self._serve_request(head, reader, writer):
                    break
        except MalformedMessage as error:
            writer.write(own_answer(400, "Bad Request", str(error)))
        except (ConnectionError, TimeoutError):
            return  # the client is gone, or silent: nobody is left to be told
        finally:
            writer.close()

    async def _serve_request(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass one request on and log it; returns whether the client's connection can be used again.

        Raises MalformedMessage for a request that cannot be passed on. That is not logged: it reached no version.
        """
        started_at_s, started_s = time.time(), time.perf_counter()
        users = head.all(_USER_FIELD)
        user = users[-1].decode("latin-1") or None if users else None
        known_as = user_hash(users[-1] if user else None)
        assigned: Arm = "canary" if is_exposed(user, self.salt_key, self.slots) else "stable"
        holds = self.canary_up and time.monotonic() < self.lease_until_s
        version = self.canary if assigned == "canary" and holds else self.stable
        exchange = Exchange(version, head, reader, writer)
        try:
            return await exchange.run()
        finally:
            latency_ms = (time.perf_counter() - started_s) * 1000
            line = format_line(started_at_s, latency_ms, exchange.status, version.arm, assigned, known_as)
            self._write_log(line)

    def _write_log(self, line: bytes) -> None:
        """Append to the request log. A full disk costs the line and not the user's request: the silence is judged."""
        text = b"\n" + line if self.log_is_torn else line
        try:
            self.log_is_torn = os.write(1, text) < len(text)
        except OSError as error:
            if not self.log_fails:
                logging.getLogger(__name__).error("the request log cannot be written: %s", error)
            self.log_fails = True
        else:
            self.log_fails = False

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
    users = await asyncio.start_server(proxy.serve_client, sock=listener, limit=MAX_HEAD_BYTES, backlog=_BACKLOG)
    control = await asyncio.start_unix_server(proxy.obey, settings.control)  # last: its file says that we are ready
    async with users, control:
        await proxy.watch_lease(settings.lease_url)


def main() -> None:
    """Route until terminated."""
    os.umask(0o077)  # whoever opens the control socket decides who sees the candidate
    asyncio.run(_run(Settings(**json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
