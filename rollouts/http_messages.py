"""HTTP/1.1 messages as a proxy passes them on: heads are read and rewritten, bodies are copied as they come."""

import asyncio
from dataclasses import dataclass

MAX_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"expect"})


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
        if lengths or not value.isdigit() or self.all(b"transfer-encoding"):
            raise MalformedMessage("ambiguous length")
        return int(value)

    def is_chunked(self) -> bool:
        """Whether the body is chunked. Raises MalformedMessage for any other transfer coding."""
        codings = self.tokens(b"transfer-encoding")
        if codings and codings != {b"chunked"}:
            raise MalformedMessage("unknown transfer coding")
        return bool(codings)

    def forwarded(self, *, close: bool) -> bytes:
        """The head for the next hop, without the fields that concern this connection alone."""
        dropped = _HOP_BY_HOP | self.tokens(b"connection")
        kept = [name + b": " + value for name, value in self.fields if name not in dropped]
        return b"\r\n".join([self.start, *kept, b"connection: " + (b"close" if close else b"keep-alive"), b"", b""])

    def interim(self) -> bytes:
        """The head of an answer before the answer (1xx), which leaves the connection as it is."""
        kept = [name + b": " + value for name, value in self.fields if name not in _HOP_BY_HOP]
        return b"\r\n".join([self.start, *kept, b"", b""])


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read one head; None at the end of the stream. Raises MalformedMessage."""
    try:
        text = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise MalformedMessage("the head is cut off") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise MalformedMessage("the head is too long") from error
    start, *lines = text[:-4].split(b"\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip() or b"\n" in line:
            raise MalformedMessage("a header line is wrong")
        fields.append((name.lower(), value.strip()))
    return Head(start, tuple(fields))


async def copy_bytes(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int, *, silence_s: float | None = None
) -> None:
    """Copy exactly ``count`` bytes. Raises MalformedMessage when the stream ends before, TimeoutError when nothing
    comes for ``silence_s``.
    """
    while count:
        piece = await asyncio.wait_for(reader.read(min(count, _PIECE_BYTES)), silence_s)
        if not piece:
            raise MalformedMessage("the body is cut off")
        count -= len(piece)
        writer.write(piece)
        await writer.drain()


async def copy_chunks(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, silence_s: float | None = None
) -> None:
    """Copy a chunked body with its trailers. Raises as ``copy_bytes``."""
    while True:
        line = await _line(reader, silence_s)
        try:
            size = int(line.split(b";")[0].strip(), 16)
        except ValueError as error:
            raise MalformedMessage("a chunk has no size") from error
        writer.write(line)
        if size == 0:
            break
        await copy_bytes(reader, writer, size + 2, silence_s=silence_s)
    while True:
        line = await _line(reader, silence_s)
        writer.write(line)
        if line == b"\r\n":
            await writer.drain()
            return


async def copy_until_end(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, silence_s: float | None = None
) -> None:
    """Copy all that comes until the stream ends. Raises TimeoutError as ``copy_bytes``."""
    while piece := await asyncio.wait_for(reader.read(_PIECE_BYTES), silence_s):
        writer.write(piece)
        await writer.drain()


async def _line(reader: asyncio.StreamReader, silence_s: float | None) -> bytes:
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n"), silence_s)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise MalformedMessage("the body is cut off") from error
