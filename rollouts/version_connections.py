"""The connections of the embedded proxy to one version, of which idle ones are kept for a moment."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from rollouts.http_messages import MAX_HEAD_BYTES
from rollouts.samples import Arm

CONNECT_TIMEOUT_S = 2.0
MOST_IDLE = 128
_IDLE_S = 2.0
"""Shorter than a server's own keep-alive (5 s for uvicorn), so that no request meets a connection that just closes."""


@dataclass(eq=False)
class Connection:
    """A connection to a version."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_new: bool = True
    waiting: "asyncio.Task[bytes] | None" = None
    """While it is idle: reads what the version may not say then, or its end."""


@dataclass(eq=False)
class Version:
    """One version behind the proxy, with its idle connections."""

    arm: Arm
    host: str
    port: int
    idle: deque[Connection] = field(default_factory=deque)

    async def connect(self, *, fresh: bool) -> Connection:
        """A kept connection, or a new one. Raises OSError and TimeoutError."""
        while self.idle and not fresh:
            connection = self.idle.pop()
            if await _is_quiet(connection):
                connection.is_new = False
                return connection
            connection.writer.close()
        opening = asyncio.open_connection(self.host, self.port, limit=MAX_HEAD_BYTES)
        return Connection(*await asyncio.wait_for(opening, CONNECT_TIMEOUT_S))

    def keep(self, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end, until it says something unasked, or gets old."""
        if len(self.idle) >= MOST_IDLE:
            self._drop(self.idle[0])
        connection.waiting = waiting = asyncio.ensure_future(connection.reader.read(1))
        self.idle.append(connection)
        old = asyncio.get_running_loop().call_later(_IDLE_S, self._drop, connection)
        waiting.add_done_callback(lambda said: self._ended(connection, old, said))

    def _ended(self, connection: Connection, old: asyncio.TimerHandle, said: "asyncio.Task[bytes]") -> None:
        old.cancel()
        if not said.cancelled():
            said.exception()  # however it ended: it is over
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if connection in self.idle:
            self.idle.remove(connection)
            connection.writer.close()


async def _is_quiet(connection: Connection) -> bool:
    """Whether nothing came on an idle connection: not its end, and no bytes that would look like the next answer."""
    waiting, connection.waiting = connection.waiting, None
    assert waiting is not None
    waiting.cancel()
    await asyncio.wait({waiting})
    return waiting.cancelled() and not connection.reader.at_eof() and connection.reader.exception() is None
