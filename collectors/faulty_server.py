"""An external HTTP API that misbehaves on purpose: a real server on 127.0.0.1, one behaviour for its whole life."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["slow", "hang", "reset", "http-500"]

_TRICKLE_S = 0.1


class FaultyServer(ThreadingHTTPServer):
    """Answers every request with ``answer`` (JSON), or with its fault. ``calls`` counts requests read in full.

    - slow: the answer begins at once and then comes one byte every 100 ms, so that no single read is late
    - hang: the request is read and never answered
    - reset: the connection is reset (TCP RST) instead of an answer
    - http-500: every answer is a 500
    """

    daemon_threads = True

    def __init__(self, answer: bytes, fault: Fault | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.fault = fault
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._calls = 0

    @property
    def url(self) -> str:
        """Where it answers, without a trailing slash."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def calls(self) -> int:
        """Requests that reached it so far."""
        with self._lock:
            return self._calls

    def count(self) -> None:
        """Count one request."""
        with self._lock:
            self._calls += 1


@contextmanager
def faulty_server(answer: bytes, fault: Fault | None) -> Iterator[FaultyServer]:
    """A running server; ``fault`` None makes it healthy. Its hanging answers end with the block."""
    server = FaultyServer(answer, fault)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.count()
        # A client that gives up on a slow answer closes the connection: that is what the drill wants to see.
        with contextlib.suppress(ConnectionError):
            match self.server.fault:
                case None:
                    self._send(200, self.server.answer)
                case "http-500":
                    self._send(500, b'{"error": {"message": "drill"}}')
                case "reset":
                    self._reset()
                case "hang":
                    self.server.closing.wait()
                case "slow":
                    self._trickle()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def _send(self, status: int, body: bytes) -> None:
        self._send_head(status, len(body))
        self.wfile.write(body)

    def _send_head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length))
        self.end_headers()

    def _trickle(self) -> None:
        body = self.server.answer.ljust(10_000)
        self._send_head(200, len(body))
        for byte in body:
            self.wfile.write(bytes([byte]))
            if self.server.closing.wait(_TRICKLE_S):
                self.close_connection = True
                return

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: what happened is counted."""
