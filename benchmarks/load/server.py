"""The server of the benchmark: one process, no framework. ``python -m benchmarks.load.server PORT``.

GET /fast answers at once, /steady after 5 to 25 ms, /stalling after 10 ms and not during a stall; /taken answers how
long each answer since the last such question took (seconds, from the request's last byte to the answer's first).
"""

import asyncio
import json
import sys
import time
from random import Random

STEADY_S = (0.005, 0.025)
BASE_S = 0.010
STALL_S = 2.0
EVERY_S = 20.0

_random = Random(1)
_taken: list[float] = []


def stall_left_s(at: float) -> float:
    """How long a stall still lasts at an epoch time; 0 between stalls. The first 18 s of every 20 s are free."""
    return max(0.0, at % EVERY_S - (EVERY_S - STALL_S)) and EVERY_S - at % EVERY_S


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._take(head.split(b" ", 2)[1])

    def _take(self, path: bytes) -> None:
        if path == b"/fast":
            self._write(b"{}")
        elif path == b"/taken":
            self._write(json.dumps(_taken).encode())
            _taken.clear()
        else:
            self._wait(path, time.perf_counter(), _random.uniform(*STEADY_S) if path == b"/steady" else BASE_S)

    def _wait(self, path: bytes, began_s: float, takes_s: float) -> None:
        left_s = began_s + takes_s - time.perf_counter()
        stall_s = stall_left_s(time.time()) if path == b"/stalling" else 0.0
        if max(left_s, stall_s) <= 0:
            self._write(b"{}")
            _taken.append(time.perf_counter() - began_s)
            return
        asyncio.get_running_loop().call_later(max(left_s, stall_s), self._wait, path, began_s, takes_s)

    def _write(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
