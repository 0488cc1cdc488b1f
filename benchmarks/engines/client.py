"""An open-loop and a closed-loop HTTP client with as little of its own as Python allows: raw keep-alive connections."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from random import Random

Request = bytes
_CONNECTIONS = 64


@dataclass
class Answers:
    """Latencies of answers with status 200, how many ended otherwise, and the size of the last one's body."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0
    body_bytes: int = 0

    @property
    def rate_per_s(self) -> float:
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: Request) -> tuple[int, bytes]:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        return int(head.split(b" ", 2)[1]), await self._reader.readexactly(length)

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it, which it does after 30 s without a request."""
        return not self._reader.at_eof()

    def close(self) -> None:
        self._writer.close()


async def connect(port: int) -> Connection:
    return Connection(*await asyncio.open_connection("127.0.0.1", port))


def post(path: str, body: object) -> Request:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: ion\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def without_a_pause(port: int, requests: Iterator[Request], clients: int, seconds: float) -> Answers:
    """A closed loop: each client asks again as soon as it is answered."""
    answers, until_s, began_s = Answers(), time.perf_counter() + seconds, time.perf_counter()

    async def client() -> None:
        connection = await connect(port)
        while time.perf_counter() < until_s:
            await _timed(connection, next(requests), time.perf_counter(), answers)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    answers.seconds = time.perf_counter() - began_s
    return answers


async def at_a_rate(
    port: int,
    journey: Callable[["Pool", float, Answers], Awaitable[None]],
    rate_per_s: float,
    seconds: float,
    every_s: Callable[[float], None] = lambda _at_s: None,
) -> Answers:
    """An open loop: journeys arrive as a Poisson process, however long the ones before take."""
    answers, pool, random = Answers(), Pool(port), Random(1)
    began_s, due_s, told_s = time.perf_counter(), 0.0, 0.0
    under_way: set[asyncio.Task[None]] = set()

    def ended(task: asyncio.Task[None]) -> None:
        under_way.discard(task)
        if task.exception() is not None:
            answers.failed += 1

    while (due_s := due_s + random.expovariate(rate_per_s)) < seconds:
        await asyncio.sleep(max(0.0, began_s + due_s - time.perf_counter()))
        task = asyncio.ensure_future(journey(pool, began_s + due_s, answers))
        under_way.add(task)
        task.add_done_callback(ended)
        if due_s - told_s >= 1:
            told_s = due_s
            every_s(due_s)
    if under_way:
        await asyncio.wait(under_way, timeout=30)
    answers.seconds = time.perf_counter() - began_s
    pool.close()
    return answers


class Pool:
    """Connections that are opened when needed, at most 64, and used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[Connection] = []
        self._slots = asyncio.Semaphore(_CONNECTIONS)

    async def ask(self, request: Request, due_s: float, answers: Answers) -> bytes:
        """The body of the answer; its latency counts from ``due_s``."""
        async with self._slots:
            connection = next((free for free in self._taken() if free.is_open), None) or await connect(self._port)
            body = await _timed(connection, request, due_s, answers)
            self._free.append(connection)
            return body

    def _taken(self) -> Iterator[Connection]:
        while self._free:
            yield self._free.pop(0)  # in turn, so that none idles until the server closes it

    def now(self) -> float:
        """The clock of ``due_s``."""
        return time.perf_counter()

    def close(self) -> None:
        for connection in self._free:
            connection.close()


async def _timed(connection: Connection, request: Request, due_s: float, answers: Answers) -> bytes:
    status, body = await connection.ask(request)
    if status == 200:
        answers.latencies_s.append(time.perf_counter() - due_s)
        answers.body_bytes = len(body)
    else:
        answers.failed += 1
    return body
