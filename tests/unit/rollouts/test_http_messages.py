import asyncio
from typing import Any

import pytest

from rollouts import embedded_proxy
from rollouts.http_messages import Copy, Head, MalformedMessage, read_head, request_of
from rollouts.version_connections import Version


class Sink:
    """Takes what is written."""

    def __init__(self) -> None:
        self.taken = b""
        self.transport = self

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, piece: bytes) -> None:
        self.taken += piece

    async def drain(self) -> None:
        """Everything is taken at once."""


def reading(text: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(text)
    reader.feed_eof()
    return reader


def head_of(text: bytes) -> Head | None:
    async def read() -> Head | None:
        return await read_head(reading(text))

    return asyncio.run(read())


def copied(text: bytes) -> bytes:
    async def copy() -> bytes:
        sink: Any = Sink()
        await Copy(reading(text), sink, 5, 5).chunks()
        return bytes(sink.taken)

    return asyncio.run(copy())


@pytest.mark.parametrize("text", [
    b"GET / HTTP/1.1\nx-evil: 1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\nx-evil: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n",
    b"GET / HTTP/1.1\r\nx y: b\r\n\r\n",
    b"GET / HTTP/1.1\r\ncontent-length : 5\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
    b"GET / HTTP/1.1\r\n: b\r\n\r\n",
])  # fmt: skip
def test_a_head_that_could_be_read_in_two_ways_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedMessage):
        head_of(text)


def test_empty_lines_before_a_request_are_skipped_and_alone_are_the_end() -> None:
    head = head_of(b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost:\ta \r\n\r\n")
    assert head == Head(b"GET / HTTP/1.1", ((b"host", b"a"),))
    assert head_of(b"\r\n") is None


@pytest.mark.parametrize("size", [b"-3", b"+3", b"0x3", b"1_0", b"", b" 3", b"3;a\nb", b"3;a\rb", b"f" * 16])
def test_a_chunk_whose_size_could_be_read_in_two_ways_is_refused(size: bytes) -> None:
    with pytest.raises(MalformedMessage):
        copied(size + b"\r\nabc\r\n0\r\n\r\n")


@pytest.mark.parametrize("text", [
    b"3\r\nabcXX0\r\n\r\n",
    b"3\r\nabc\n0\r\n\r\n",
    b"0\r\na: b\n\nGET /evil HTTP/1.1\r\n\r\n",
    b"0\r\nno field\r\n\r\n",
])  # fmt: skip
def test_chunks_and_trailers_end_where_they_say_or_are_refused(text: bytes) -> None:
    with pytest.raises(MalformedMessage):
        copied(text)


def test_chunks_are_passed_on_in_the_one_way_in_which_they_were_read() -> None:
    text = b"3 ;a=b\r\nabc\r\n0A\r\n0123456789\r\n000\r\nX-Sum: 1 \r\ncontent-length: 9\r\n\r\n"
    assert copied(text) == b"3\r\nabc\r\na\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n"


def test_a_copy_that_is_cancelled_just_as_something_comes_ends() -> None:
    """A version's answer ends the body of its request: one that went on would hold both connections.

    Python's wait_for went on up to 3.11 (https://github.com/python/cpython/issues/86296).
    """

    async def cancel() -> bool:
        reader, sink = asyncio.StreamReader(), Sink()
        into: Any = sink
        copying = asyncio.ensure_future(Copy(reader, into, silence_s=60, not_taken_s=60).counted(1000))
        await asyncio.sleep(0)
        reader.feed_data(b"x")
        await asyncio.sleep(0)  # what was fed is taken, and not handed on yet
        copying.cancel()
        done, _ = await asyncio.wait({copying}, timeout=5)
        return bool(done)

    assert asyncio.run(cancel())


def test_a_connection_field_cannot_take_the_length_off_a_body() -> None:
    fields = (
        (b"content-length", b"5"),
        (b"host", b"a"),
        (b"x-own", b"1"),
        (b"connection", b"Content-Length, host, x-own"),
    )
    assert Head(b"POST / HTTP/1.1", fields).forwarded(b"keep-alive").split(b"\r\n")[1:4] == [
        b"host: a", b"content-length: 5", b"connection: keep-alive"
    ]  # fmt: skip


@pytest.mark.parametrize(("start", "fields"), [
    (b"GET / HTTP/1.1 ", ()),
    (b"GET  / HTTP/1.1", ()),
    (b"GET / HTTP/2.0", ()),
    (b"CONNECT a:80 HTTP/1.1", ()),
    (b"G(T / HTTP/1.1", ()),
    (b"POST / HTTP/1.0", ((b"transfer-encoding", b"chunked"),)),
    (b"POST / HTTP/1.1", ((b"transfer-encoding", b"chunked, chunked"),)),
    (b"POST / HTTP/1.1", ((b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked"))),
    (b"POST / HTTP/1.1", ((b"transfer-encoding", b"chunked"), (b"content-length", b"5"))),
    (b"POST / HTTP/1.1", ((b"content-length", b"5"), (b"content-length", b"6"))),
    (b"POST / HTTP/1.1", ((b"content-length", b"1" * 5000),)),
    (b"POST / HTTP/1.1", ((b"content-length", b"+5"),)),
])  # fmt: skip
def test_a_request_that_cannot_be_passed_on_asks_no_version(
    start: bytes, fields: tuple[tuple[bytes, bytes], ...]
) -> None:
    with pytest.raises(MalformedMessage):
        request_of(Head(start, fields))


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost:", b"\r\n"])
def test_users_who_never_finish_a_request_do_not_stay_for_ever(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(embedded_proxy, "CLIENT_SILENCE_S", 0.1)
    proxy = embedded_proxy._Proxy(Version("stable", "127.0.0.1", 1), Version("canary", "127.0.0.1", 1), "salt")

    async def ask() -> bytes:
        server = await asyncio.start_server(proxy.serve_client, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(sent)
            left = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            return left

    assert asyncio.run(ask()) == b""
