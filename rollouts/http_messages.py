"""HTTP/1.1 messages as a proxy passes them on: heads are read and rewritten, bodies are copied as they come.

What two readers could take for two different messages is refused (RFC 9112, section 11.2: request smuggling). Whatever
is passed on is written anew from what was understood, never copied: lines end with CRLF, sizes of chunks are plain.
"""

import asyncio
import re
from dataclasses import dataclass

MAX_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_ALWAYS_PASSED_ON = _FRAMING | {b"host"}
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"expect"})
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_START = re.compile(rb"[\t\x20-\x7e\x80-\xff]+")
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") [\x21-\x7e\x80-\xff]+ HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class MalformedMessage(Exception):
    """A message whose end cannot be told for certain; it is never passed on."""


class NotTaken(Exception):
    """The other side took nothing for too long."""


@dataclass(frozen=True)
class Head:
    """The start line and header fields of a message; names are in lower case."""

    start: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    def all(self, name: bytes) -> list[bytes]:
        """The values of a field, in order."""
        return [value for field, value in self.fields if field == name]

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """The comma-separated values of a field in lower case."""
        return frozenset(
            token for value in self.all(name) for part in value.split(b",") if (token := part.strip().lower())
        )

    def content_length(self) -> int | None:
        """The length of the body; None without one or when chunked. Raises MalformedMessage when it is ambiguous."""
        lengths = set(self.all(b"content-length"))
        if not lengths:
            return None
        value = lengths.pop()
        if lengths or not _LENGTH.fullmatch(value) or self.all(b"transfer-encoding"):
            raise MalformedMessage("ambiguous length")
        return int(value)

    def is_chunked(self) -> bool:
        """Whether the body is chunked. Raises MalformedMessage for any other transfer coding."""
        codings = self.all(b"transfer-encoding")
        if codings and [coding.lower() for coding in codings] != [b"chunked"]:
            raise MalformedMessage("unknown transfer coding")
        return bool(codings)

    def forwarded(self, connection: bytes) -> bytes:
        """The head for the next hop, without the fields that concern this connection alone, of which the next hop is
        told ``connection``: ``close``, ``keep-alive`` or ``upgrade``.

        A Connection field names others of these; what says where the body ends is none of them, whatever it names.
        """
        dropped = _HOP_BY_HOP | (self.tokens(b"connection") - _ALWAYS_PASSED_ON)
        if connection == b"upgrade":
            dropped -= {b"upgrade"}
        kept = [name + b": " + value for name, value in self.fields if name not in dropped | {b"content-length"}]
        kept += [b"content-length: " + value for value in set(self.all(b"content-length"))]
        return b"\r\n".join([self.start, *kept, b"connection: " + connection, b"", b""])

    def interim(self) -> bytes:
        """The head of an answer before the answer (1xx), which leaves the connection as it is."""
        kept = [name + b": " + value for name, value in self.fields if name not in _HOP_BY_HOP]
        return b"\r\n".join([self.start, *kept, b"", b""])


@dataclass(frozen=True)
class Request:
    """A request whose head was understood. ``length`` is that of its body: 0 without one, None when it is chunked."""

    head: Head
    method: bytes
    is_http_1_1: bool
    length: int | None

    @property
    def keeps_alive(self) -> bool:
        """Whether the client may send another one on the same connection."""
        return self.is_http_1_1 and b"close" not in self.head.tokens(b"connection")

    @property
    def upgrades(self) -> bool:
        """Whether the client asks for another protocol on this connection, such as WebSocket."""
        asked = b"upgrade" in self.head.tokens(b"connection") and bool(self.head.all(b"upgrade"))
        return asked and self.is_http_1_1 and self.length == 0


@dataclass(frozen=True)
class Answer:
    """An answer whose head was understood. ``length`` as stated; None and not ``chunked``: until the end."""

    head: Head
    status: int
    length: int | None
    chunked: bool
    keeps_alive: bool


def request_of(head: Head) -> Request:
    """Raises MalformedMessage."""
    line = _REQUEST_LINE.fullmatch(head.start)
    if line is None:
        raise MalformedMessage("the request line is wrong")
    if line[1] == b"CONNECT":
        raise MalformedMessage("this is no proxy to anywhere")
    is_http_1_1, length, chunked = line[2] == b"1", head.content_length(), head.is_chunked()
    if chunked and not is_http_1_1:
        raise MalformedMessage("HTTP/1.0 knows no transfer coding")
    return Request(head, line[1], is_http_1_1, None if chunked else length or 0)


def answer_of(head: Head) -> Answer:
    """Raises MalformedMessage."""
    line = _STATUS_LINE.fullmatch(head.start)
    if line is None:
        raise MalformedMessage("the answer has no status")
    said = head.tokens(b"connection")
    keeps_alive = b"close" not in said and (line[1] == b"1" or b"keep-alive" in said)
    return Answer(head, int(line[2]), head.content_length(), head.is_chunked(), keeps_alive)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read one head; None at the end of the stream. Empty lines before it are skipped. Raises MalformedMessage."""
    text = b""
    while not text:
        try:
            text = (await reader.readuntil(b"\r\n\r\n"))[:-4].lstrip(b"\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial.strip(b"\r\n"):
                raise MalformedMessage("the head is cut off") from error
            return None
        except asyncio.LimitOverrunError as error:
            raise MalformedMessage("the head is too long") from error
    start, *lines = text.split(b"\r\n")
    if not _START.fullmatch(start):
        raise MalformedMessage("the first line is wrong")
    return Head(start, tuple(_field(line) for line in lines))


async def drained(writer: asyncio.StreamWriter, silence_s: float) -> None:
    """Wait until there is room to write on. Raises NotTaken when the other side takes nothing for ``silence_s``."""
    left = writer.transport.get_write_buffer_size()
    while True:
        try:
            async with asyncio.timeout(silence_s):
                return await writer.drain()
        except TimeoutError as error:
            now = writer.transport.get_write_buffer_size()
            if now >= left:
                raise NotTaken from error
            left = now


@dataclass(frozen=True)
class Copy:
    """From one side of an exchange to the other, which may be silent, or take nothing, for so many seconds.

    Its methods raise MalformedMessage when the source breaks off or says nonsense, TimeoutError when it is silent, and
    NotTaken when the other side takes nothing.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    silence_s: float
    not_taken_s: float

    async def counted(self, count: int) -> None:
        """Copy exactly ``count`` bytes."""
        while count:
            piece = await self._read(min(count, _PIECE_BYTES))
            if not piece:
                raise MalformedMessage("the body is cut off")
            count -= len(piece)
            await self._write(piece)

    async def chunks(self) -> None:
        """Copy a chunked body with its trailers; extensions of chunks mean nothing to the next hop."""
        while True:
            line = _CHUNK_LINE.fullmatch(await self._line())
            if line is None:
                raise MalformedMessage("a chunk has no size")
            size = int(line[1], 16)
            self.writer.write(b"%x\r\n" % size)
            if size == 0:
                return await self._trailers()
            await self.counted(size)
            if await self._line() != b"\r\n":
                raise MalformedMessage("a chunk is longer than it says")
            await self._write(b"\r\n")

    async def until_end(self) -> None:
        """Copy all that comes until the stream ends."""
        while piece := await self._read(_PIECE_BYTES):
            await self._write(piece)

    async def _trailers(self) -> None:
        read = 0
        while (line := await self._line()) != b"\r\n":
            name, value = _field(line[:-2])
            read += len(line)
            if read > MAX_HEAD_BYTES:
                raise MalformedMessage("the trailers are too long")
            if name not in _FRAMING:
                self.writer.write(name + b": " + value + b"\r\n")
        await self._write(b"\r\n")

    async def _read(self, at_most: int) -> bytes:
        async with asyncio.timeout(self.silence_s):
            return await self.reader.read(at_most)

    async def _line(self) -> bytes:
        try:
            async with asyncio.timeout(self.silence_s):
                return await self.reader.readuntil(b"\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise MalformedMessage("the body is cut off") from error

    async def _write(self, piece: bytes) -> None:
        self.writer.write(piece)
        await drained(self.writer, self.not_taken_s)


def _field(line: bytes) -> tuple[bytes, bytes]:
    field = _FIELD.fullmatch(line)
    if field is None:
        raise MalformedMessage("a header line is wrong")
    return field[1].lower(), field[2].rstrip(b" \t")
