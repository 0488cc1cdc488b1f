"""One version: one process, no framework. ``python -m benchmarks.rollback.server PORT ERROR_RATE SEED``.

Answers every request after 2 to 8 ms, with 500 at the given rate.
"""

import asyncio
import sys
from random import Random

ANSWERS_S = (0.002, 0.008)


class _Connection(asyncio.Protocol):
    def __init__(self, error_rate: float, random: Random) -> None:
        self._error_rate, self._random, self._buffer = error_rate, random, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            _, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            failed = self._random.random() < self._error_rate
            status = b"500 Internal Server Error" if failed else b"200 OK"
            answer = b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}" % status
            asyncio.get_running_loop().call_later(self._random.uniform(*ANSWERS_S), self._write, answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(port: int, error_rate: float, seed: int) -> None:
    random = Random(seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(error_rate, random), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
