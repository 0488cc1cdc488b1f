"""Processes that tests of routers and rollouts start: a fast backend, and users that never stop asking.

``backend PORT NAME ERROR_RATE DELAY_MS`` answers ``NAME`` on every path; ``/fail`` answers 500, ``/chunked`` in chunks,
``/echo`` the request's body, ``/metrics`` how many requests it answered on all other paths, all within a second.
``users URL COUNT CONNECTIONS [PAUSE_S]`` asks in a closed loop as users of COUNT
different ids; who lost a connection opens another.
"""

import asyncio
import random
import sys
from urllib.parse import urlsplit

METRICS = b"""\
http_requests_total{status="200"} %d
http_requests_total{status="500"} %d
http_request_duration_seconds_bucket{le="1.0"} %d
http_request_duration_seconds_bucket{le="+Inf"} %d
"""
answered = {True: 0, False: 0}


class Backend(asyncio.Protocol):
    def __init__(self, name: str, error_rate: float, delay_ms: float) -> None:
        self.name, self.error_rate, self.delay_ms = name, error_rate, delay_ms
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            answer = self.answer(head.split(b" ")[1], body)
            if self.delay_ms:
                asyncio.get_running_loop().call_later(self.delay_ms / 1000, self.transport.write, answer)
            else:
                self.transport.write(answer)

    def answer(self, path: bytes, body: bytes) -> bytes:
        if path == b"/chunked":
            head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            return head + b"".join(b"4\r\n%04d\r\n" % n for n in range(500)) + b"0\r\n\r\n"
        if path == b"/metrics":
            total = sum(answered.values())
            text = METRICS % (answered[False], answered[True], total, total)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(text)
            return head + text
        failed = path == b"/fail" or random.random() < self.error_rate
        answered[failed] += 1
        text = body if path == b"/echo" else self.name.encode()
        status = b"500 Internal Server Error" if failed else b"200 OK"
        return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(text), text)


async def serve(port: int, name: str, error_rate: float, delay_ms: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Backend(name, error_rate, delay_ms), "127.0.0.1", port)
    await server.serve_forever()


async def ask(url: str, users: int, seed: int, pause_s: float) -> None:
    address, chance = urlsplit(url), random.Random(seed)
    while True:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            closed = False
            while not closed:
                user = f"user-{chance.randrange(users)}"
                writer.write(f"GET / HTTP/1.1\r\nhost: test\r\nx-user-id: {user}\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                closed = b"connection: close" in head
                await asyncio.sleep(pause_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            continue
        finally:
            writer.close()


async def ask_all(url: str, users: int, connections: int, pause_s: float) -> None:
    await asyncio.gather(*(ask(url, users, seed, pause_s) for seed in range(connections)))


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "backend":
        asyncio.run(serve(int(arguments[0]), arguments[1], float(arguments[2]), float(arguments[3])))
    else:
        asyncio.run(
            ask_all(arguments[0], int(arguments[1]), int(arguments[2]), float(arguments[3]) if arguments[3:] else 0.0)
        )
