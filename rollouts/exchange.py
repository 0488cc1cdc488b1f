"""One request and its answer on their way through the embedded proxy.

The body goes up while the answer comes down: a version may answer before it has read everything. Who broke an exchange
off matters, because the log is what the candidate is judged by: a version is not blamed for users who leave, nor for a
proxy that has no sockets left.
"""

import asyncio
import errno
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from rollouts.http_messages import (
    MAX_HEAD_BYTES,
    Answer,
    Copy,
    MalformedMessage,
    NotTaken,
    Request,
    answer_of,
    drained,
    read_head,
)
from rollouts.version_connections import Connection, Version

T = TypeVar("T")

CLIENT_SILENCE_S = 60.0
"""How long a client may send nothing, or take nothing."""
_SILENCE_S = 10.0
"""How long a version may send nothing, before its answer and within it, or take nothing of a request."""
_TUNNEL_SILENCE_S = 3600.0
_LINGER_S = 2.0
_REPEATABLE = frozenset({b"GET", b"HEAD"})
_OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""What the proxy itself has run out of."""


class _ClientLeft(Exception):
    """The client's side of the exchange broke off, or fell silent."""


@dataclass
class Exchange:
    """One request and its answer. ``status`` is what the client was told; 0: an answer that the version broke off.

    ``switched_s``: when the two sides agreed on another protocol (``time.perf_counter``); None when they did not.
    ``reached`` is False when the proxy had nothing left to reach a version with: then it says nothing of the version.
    ``unread`` is True when the client may still be sending: see ``linger``.
    """

    version: Version
    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    switched_s: float | None = None
    reached: bool = True
    unread: bool = False
    _sending: "asyncio.Task[None] | None" = None

    async def run(self) -> bool:
        """Returns whether the client's connection can be used again."""
        request = self.request
        if request.is_http_1_1 and b"100-continue" in request.head.tokens(b"expect"):
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            return await self._run()
        finally:
            self.unread = not self._is_sent()
            if self._sending is not None:
                self._sending.cancel()
                await asyncio.gather(self._sending, return_exceptions=True)

    async def _run(self) -> bool:
        arm = self.version.arm
        try:
            connection, answer = await self._ask()
        except _ClientLeft as left:
            if isinstance(left.__cause__, TimeoutError):
                return self._fail(408, "Request Timeout", "the request's body does not come")
            return self._fail(400, "Bad Request", "the request's body is cut off")
        except (TimeoutError, NotTaken):
            return self._fail(504, "Gateway Timeout", f"the {arm} version does not answer")
        except (OSError, MalformedMessage) as error:
            self.reached = not (isinstance(error, OSError) and error.errno in _OUR_OWN)
            return self._fail(503, "Service Unavailable", f"the {arm} version does not answer")
        self.status = answer.status
        if answer.status == 101:
            await self._tunnel(connection, answer)
            return False
        keeps_alive = self.request.keeps_alive and self._is_sent()
        try:
            whole = await self._pass_back(connection, answer, keeps_alive)
        except (OSError, MalformedMessage, NotTaken) as error:
            # The start of the answer is out already, so only the end of the connection can tell the client.
            connection.writer.close()
            if isinstance(error, NotTaken) or (answer.length is None and not answer.chunked):
                self.writer.transport.abort()  # an ordinary end would make it look complete
            if _is_of(connection.reader, error) and not self._client_left() and self.status < 500:
                self.status = 0
            return False
        if whole and answer.keeps_alive and self._is_sent():
            self.version.keep(connection)
        else:
            connection.writer.close()
        return whole and keeps_alive

    async def _ask(self) -> tuple[Connection, Answer]:
        """Send the request and read the head of its answer; a stale connection is replaced once if that is safe.

        Raises _ClientLeft, OSError, TimeoutError, NotTaken and MalformedMessage.
        """
        connection = await self.version.connect(fresh=False)
        try:
            return connection, await self._send(connection)
        except BaseException as error:
            connection.writer.close()
            repeatable = self.request.method in _REPEATABLE and self.request.length == 0
            broken = isinstance(error, OSError | MalformedMessage) and not isinstance(error, TimeoutError)
            if connection.is_new or not repeatable or not broken:
                raise
        connection = await self.version.connect(fresh=True)
        try:
            return connection, await self._send(connection)
        except BaseException:
            connection.writer.close()
            raise

    async def _send(self, connection: Connection) -> Answer:
        upgrade = b"upgrade" if self.request.upgrades else b"keep-alive"
        connection.writer.write(self.request.head.forwarded(upgrade))
        if self.request.length == 0:
            return await _within(self._answer(connection))
        sending = self._sending = asyncio.ensure_future(self._send_body(connection.writer))
        answering = asyncio.ensure_future(self._answer(connection))
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and (error := sending.exception()):
                if self._client_left():
                    raise _ClientLeft from error
                if isinstance(error, NotTaken):
                    raise error
            # Whether the version took everything or closed its ears: what it says now is the answer.
            return await _within(answering)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _send_body(self, writer: asyncio.StreamWriter) -> None:
        copy = Copy(self.reader, writer, CLIENT_SILENCE_S, _SILENCE_S)
        if self.request.length is None:
            await copy.chunks()
        else:
            await copy.counted(self.request.length)

    async def _answer(self, connection: Connection) -> Answer:
        """The head of the final answer; interim answers are passed on to clients that know them."""
        while True:
            head = await read_head(connection.reader)
            if head is None:
                raise MalformedMessage("the version closed the connection without an answer")
            answer = answer_of(head)
            if answer.status >= 200 or (answer.status == 101 and self.request.upgrades):
                return answer
            if answer.status == 101:
                raise MalformedMessage("nobody asked for another protocol")
            if answer.status != 100 and self.request.is_http_1_1:
                self.writer.write(head.interim())
                await drained(self.writer, CLIENT_SILENCE_S)

    async def _pass_back(self, connection: Connection, answer: Answer, keeps_alive: bool) -> bool:
        """Copy the answer to the client; returns whether its end was told by more than the end of the connection."""
        has_body = self.request.method != b"HEAD" and answer.status not in (204, 304)
        until_end = has_body and answer.length is None and not answer.chunked
        self.writer.write(answer.head.forwarded(b"keep-alive" if keeps_alive and not until_end else b"close"))
        # While the request still comes, the version may have to wait for it.
        silence_s = _SILENCE_S if self._is_sent() else CLIENT_SILENCE_S
        copy = Copy(connection.reader, self.writer, silence_s, CLIENT_SILENCE_S)
        if has_body and answer.chunked:
            await copy.chunks()
        elif until_end:
            await copy.until_end()
        elif has_body:
            await copy.counted(answer.length or 0)
        await drained(self.writer, CLIENT_SILENCE_S)
        return not until_end

    async def _tunnel(self, connection: Connection, answer: Answer) -> None:
        """Both sides have agreed on another protocol: copy what either says until both, or one by force, end."""
        self.switched_s = time.perf_counter()
        self.writer.write(answer.head.forwarded(b"upgrade"))
        ways = ((self.reader, connection.writer), (connection.reader, self.writer))
        copying = [asyncio.ensure_future(_one_way(reader, writer)) for reader, writer in ways]
        try:
            await asyncio.wait(copying, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in copying:
                task.cancel()
            await asyncio.gather(*copying, return_exceptions=True)
            connection.writer.close()

    def _is_sent(self) -> bool:
        """Whether all of the request has been sent."""
        if self._sending is None:
            return self.request.length == 0
        return self._sending.done() and not self._sending.cancelled() and self._sending.exception() is None

    def _client_left(self) -> bool:
        """Whether the request's body broke off on the client's side."""
        if self._sending is None or not self._sending.done() or self._sending.cancelled():
            return False
        error = self._sending.exception()
        return error is not None and _is_of(self.reader, error)

    def _fail(self, status: int, reason: str, text: str) -> bool:
        self.status = status
        self.writer.write(own_answer(status, reason, text))
        return False  # the request's body may not have been read


async def linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read on for a moment what the client still sends: closed with unread bytes, a connection loses the answer too."""
    try:
        writer.write_eof()
        async with asyncio.timeout(_LINGER_S):
            while await reader.read(MAX_HEAD_BYTES):
                pass
    except (OSError, TimeoutError):
        return  # the answer is out, and no more can be done for it


def _is_of(reader: asyncio.StreamReader, error: BaseException) -> bool:
    """Whether it was the side of ``reader`` that broke a copy off: it said nonsense, nothing, or reset."""
    return isinstance(error, MalformedMessage | TimeoutError) or reader.exception() is not None


async def _one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await Copy(reader, writer, _TUNNEL_SILENCE_S, CLIENT_SILENCE_S).until_end()
    writer.write_eof()


async def _within(asking: Awaitable[T]) -> T:
    return await asyncio.wait_for(asking, _SILENCE_S)


def own_answer(status: int, reason: str, text: str) -> bytes:
    """An answer of the proxy itself; it ends the connection."""
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body
