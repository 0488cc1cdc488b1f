"""HTTP/1.1 messages as a proxy passes them on: heads are read and rewritten, bodies are copied as they come.

Connections to a version are shared by users, so whatever the version could read as the end of a message, or as the
start of another one, is refused here: what is passed on has one reading (RFC 9112, sections 2.2, 5, 6.3, 7.1 and 11.2).
"""

import asyncio
import re
from dataclasses import dataclass

MAX_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_STALLED_S = 60.0
"""How long the reader of a copy may take nothing."""
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"expect"})
_ALWAYS_PASSED_ON = frozenset({b"content-length", b"transfer-encoding", b"host"})
"""Also where a Connection field names them: without its length a body would be the next request."""

_NAME, _VALUE = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", rb"[^\x00-\x08\x0a-\x1f\x7f]*"
_FIELD = re.compile(b"(" + _NAME + b"):(" + _VALUE + b")")
_START = re.compile(rb"[^\x00-\x1f\x7f]+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;" + _VALUE + rb")?")


class MalformedMessage(Exception):
    """A message whose end cannot be told for certain; it is never passed on."""


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
        codings = [coding.lower() for coding in self.all(b"transfer-encoding")]
        if codings and codings != [b"chunked"]:
            raise MalformedMessage("unknown transfer coding")
        return bool(codings)

    def forwarded(self, *, close: bool) -> bytes:
        """The head for the next hop, without the fields that concern this connection alone."""
        dropped = (_HOP_BY_HOP | self.tokens(b"connection")) - _ALWAYS_PASSED_ON
        kept = [name + b": " + value for name, value in self.fields if name not in dropped]
        return b"\r\n".join([self.start, *kept, b"connection: " + (b"close" if close else b"keep-alive"), b"", b""])

    def interim(self) -> bytes:
        """The head of an answer before the answer (1xx), which leaves the connection as it is."""
        kept = [name + b": " + value for name, value in self.fields if name not in _HOP_BY_HOP]
        return b"\r\n".join([self.start, *kept, b"", b""])


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
    fields = []
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise MalformedMessage("a header line is wrong")
        fields.append((field[1].lower(), field[2].strip(b" \t")))
    return Head(start, tuple(fields))


async def copy_bytes(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int, *, silence_s: float
) -> None:
    """Copy exactly ``count`` bytes. Raises MalformedMessage when the stream ends before, TimeoutError when nothing
    comes for ``silence_s``, ConnectionAbortedError when the other side takes nothing for a minute.
    """
    while count:
        piece = await asyncio.wait_for(reader.read(min(count, _PIECE_BYTES)), silence_s)
        if not piece:
            raise MalformedMessage("the body is cut off")
        count -= len(piece)
        writer.write(piece)
        await taken(writer)


async def copy_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, silence_s: float) -> None:
    """Copy a chunked body with its trailers. Raises as ``copy_bytes``."""
    while True:
        line = await _line(reader, silence_s)
        chunk = _CHUNK.fullmatch(line)
        if chunk is None:
            raise MalformedMessage("a chunk has no size")
        writer.write(line + b"\r\n")
        size = int(chunk[1], 16)
        if size == 0:
            break
        await copy_bytes(reader, writer, size, silence_s=silence_s)
        if await _line(reader, silence_s):
            raise MalformedMessage("a chunk does not end with its line")
        writer.write(b"\r\n")
    while line := await _line(reader, silence_s):
        if not _FIELD.fullmatch(line):
            raise MalformedMessage("a trailer is wrong")
        writer.write(line + b"\r\n")
    writer.write(b"\r\n")
    await taken(writer)


async def copy_until_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, silence_s: float) -> None:
    """Copy all that comes until the stream ends. Raises TimeoutError and ConnectionAbortedError as ``copy_bytes``."""
    while piece := await asyncio.wait_for(reader.read(_PIECE_BYTES), silence_s):
        writer.write(piece)
        await taken(writer)


async def taken(writer: asyncio.StreamWriter) -> None:
    """Wait until the other side has taken most of what was written. Raises ConnectionAbortedError after a minute."""
    try:
        await asyncio.wait_for(writer.drain(), _STALLED_S)
    except TimeoutError as error:
        writer.transport.abort()  # an ordinary end would wait for it to be taken
        raise ConnectionAbortedError("the other side takes nothing") from error


async def _line(reader: asyncio.StreamReader, silence_s: float) -> bytes:
    """One line of a chunked body, without its end."""
    try:
        return (await asyncio.wait_for(reader.readuntil(b"\r\n"), silence_s))[:-2]
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise MalformedMessage("the body is cut off") from error
