"""One request and its answer on their way through the embedded proxy.

The body goes up while the answer comes down: a version may answer before it has read everything. Who broke an exchange
off matters, because the log is what the candidate is judged by: a version is not blamed for users who leave.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from rollouts.http_messages import (
    MAX_HEAD_BYTES,
    Head,
    MalformedMessage,
    copy_bytes,
    copy_chunks,
    copy_until_end,
    read_head,
    taken,
)
from rollouts.samples import Arm

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 2.0
_SILENCE_S = 10.0
"""How long a version may send nothing: before its answer, and within it."""
_IDLE_CONNECTION_S = 2.0
"""Shorter than a server's own keep-alive (5 s for uvicorn), so that no request meets a connection that just closes."""
_LINGER_S = 2.0
_USER_SILENCE_S = 60.0
"""How long a user may send nothing within a request's body."""
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^ ]+) (HTTP/1\.[01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?")
_REPEATABLE = frozenset({b"GET", b"HEAD"})


@dataclass
class Connection:
    """A connection to a version."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_new: bool = True
    idle_since_s: float = 0.0


@dataclass
class Version:
    """One version behind the proxy, with its idle connections."""

    arm: Arm
    host: str
    port: int
    idle: deque[Connection] = field(default_factory=deque)

    async def connect(self, *, fresh: bool) -> Connection:
        """A kept connection, or a new one. Raises OSError and TimeoutError."""
        now_s = time.monotonic()
        while self.idle and not fresh:
            connection = self.idle.pop()
            if now_s - connection.idle_since_s < _IDLE_CONNECTION_S and not await _has_more(connection.reader):
                connection.is_new = False
                return connection
            connection.writer.close()
        opening = asyncio.open_connection(self.host, self.port, limit=MAX_HEAD_BYTES)
        return Connection(*await asyncio.wait_for(opening, _CONNECT_TIMEOUT_S))

    def keep(self, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end; close those that were kept too long."""
        now_s = time.monotonic()
        while self.idle and now_s - self.idle[0].idle_since_s >= _IDLE_CONNECTION_S:
            self.idle.popleft().writer.close()
        connection.idle_since_s = now_s
        self.idle.append(connection)


class _ClientLeft(Exception):
    """The client's side of the exchange broke off."""


@dataclass
class Exchange:
    """One request and its answer. ``status`` is what the client was told; 0: an answer that the version broke off.

    Raises MalformedMessage for a request that cannot be passed on: no version is asked.
    """

    version: Version
    head: Head
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0

    def __post_init__(self) -> None:
        line = _REQUEST_LINE.fullmatch(self.head.start)
        if line is None:
            raise MalformedMessage("the request line is wrong")
        self._method, self._is_1_1 = line[1], line[3] == b"HTTP/1.1"
        length, chunked = self.head.content_length(), self.head.is_chunked()
        if chunked and not self._is_1_1:
            raise MalformedMessage("HTTP/1.0 knows no chunks")
        self._body = _Body(self.reader, None if chunked else length) if chunked or length else None

    async def run(self) -> bool:
        """Returns whether the client's connection can be used again."""
        method, body = self._method, self._body
        close = not self._is_1_1 or b"close" in self.head.tokens(b"connection")
        if self._is_1_1 and b"100-continue" in self.head.tokens(b"expect"):
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            connection, answer, sent = await self._ask(body, method)
        except _ClientLeft:
            return self._fail(400, "Bad Request", "the request's body is cut off")
        except TimeoutError:
            return self._fail(504, "Gateway Timeout", f"the {self.version.arm} version does not answer")
        except (OSError, MalformedMessage):
            return self._fail(503, "Service Unavailable", f"the {self.version.arm} version does not answer")
        close = close or not sent
        try:
            reusable = await self._pass_back(connection, answer, method, close)
        except (OSError, MalformedMessage, TimeoutError) as error:
            # The start of the answer is out already, so only the end of the connection can tell the client.
            connection.writer.close()
            if answer.content_length() is None and not answer.is_chunked():
                self.writer.transport.abort()  # an ordinary end would make it look complete
            if _is_of(connection.reader, error) and self.status < 500:
                self.status = 0
            return False
        if reusable and sent:
            self.version.keep(connection)
        else:
            connection.writer.close()
        if not sent:
            await self._linger()
        return not close

    async def _ask(self, body: "_Body | None", method: bytes) -> tuple[Connection, Head, bool]:
        """Send the request and read the head of its answer; a stale connection is replaced once if that is safe.

        The last of what is returned: whether all of the request was sent. Raises _ClientLeft.
        """
        connection = await self.version.connect(fresh=False)
        try:
            return connection, *await self._send(connection, body)
        except (OSError, MalformedMessage, TimeoutError, _ClientLeft) as error:
            connection.writer.close()
            repeatable = method in _REPEATABLE and body is None
            if connection.is_new or not repeatable or isinstance(error, TimeoutError):
                raise
        connection = await self.version.connect(fresh=True)
        try:
            return connection, *await self._send(connection, body)
        except BaseException:
            connection.writer.close()
            raise

    async def _send(self, connection: Connection, body: "_Body | None") -> tuple[Head, bool]:
        connection.writer.write(self.head.forwarded(close=False))
        if body is None:
            return await _within(self._answer(connection)), True
        sending = asyncio.ensure_future(body.send(connection.writer))
        answering = asyncio.ensure_future(self._answer(connection))
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and (error := sending.exception()) and _is_of(self.reader, error):
                raise _ClientLeft from error
            # Whether the version took everything or closed its ears: what it says now is the answer.
            answer = await _within(answering)
            return answer, sending.done() and sending.exception() is None
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def _answer(self, connection: Connection) -> Head:
        """The head of the final answer; interim answers are passed on to clients that know them."""
        while True:
            answer = await read_head(connection.reader)
            if answer is None:
                raise MalformedMessage("the version closed the connection without an answer")
            status = _status_of(answer)
            if status >= 200:
                return answer
            if status != 100 and self._is_1_1:
                self.writer.write(answer.interim())

    async def _pass_back(self, connection: Connection, answer: Head, method: bytes, close: bool) -> bool:
        """Copy the answer to the client; returns whether the version's connection can be used again."""
        self.status = _status_of(answer)
        length, chunked = answer.content_length(), answer.is_chunked()
        has_body = method != b"HEAD" and self.status not in (204, 304)
        until_end = has_body and length is None and not chunked
        self.writer.write(answer.forwarded(close=close or until_end))
        if has_body and chunked:
            await copy_chunks(connection.reader, self.writer, silence_s=_SILENCE_S)
        elif has_body and length is not None:
            await copy_bytes(connection.reader, self.writer, length, silence_s=_SILENCE_S)
        elif until_end:
            await copy_until_end(connection.reader, self.writer, silence_s=_SILENCE_S)
        await taken(self.writer)
        if until_end:
            self.writer.close()
        kept_open = answer.start.startswith(b"HTTP/1.1") and b"close" not in answer.tokens(b"connection")
        return kept_open and not until_end

    async def _linger(self) -> None:
        """Read on what the client still sends: closed with unread bytes, a connection loses the answer too."""
        self.writer.write_eof()
        try:
            async with asyncio.timeout(_LINGER_S):
                while await self.reader.read(MAX_HEAD_BYTES):
                    pass
        except (OSError, TimeoutError):
            return  # the answer is out, and no more can be done for it

    def _fail(self, status: int, reason: str, text: str) -> bool:
        self.status = status
        self.writer.write(own_answer(status, reason, text))
        return False  # the request's body may not have been read


@dataclass(frozen=True)
class _Body:
    """The body of a request; ``length`` None: chunked."""

    reader: asyncio.StreamReader
    length: int | None

    async def send(self, writer: asyncio.StreamWriter) -> None:
        if self.length is None:
            await copy_chunks(self.reader, writer, silence_s=_USER_SILENCE_S)
        else:
            await copy_bytes(self.reader, writer, self.length, silence_s=_USER_SILENCE_S)


def _status_of(answer: Head) -> int:
    """Raises MalformedMessage."""
    line = _STATUS_LINE.fullmatch(answer.start)
    if line is None:
        raise MalformedMessage("the answer has no status")
    return int(line[1])


async def _has_more(reader: asyncio.StreamReader) -> bool:
    """Whether a connection has come to its end, or holds bytes that nobody asked for: they are no user's answer."""
    try:
        async with asyncio.timeout(0):
            await reader.read(1)
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def _is_of(reader: asyncio.StreamReader, error: BaseException) -> bool:
    """Whether it was the side of ``reader`` that broke a copy off: it said nonsense, nothing, or reset."""
    return isinstance(error, MalformedMessage | TimeoutError) or reader.exception() is not None


async def _within(asking: Awaitable[T]) -> T:
    return await asyncio.wait_for(asking, _SILENCE_S)


def own_answer(status: int, reason: str, text: str) -> bytes:
    """An answer of the proxy itself; it ends the connection."""
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body
