"""A version whose bytes a test writes by hand: one function per request, which has the connection to itself."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Script = Callable[[socket.socket, bytes], None]
"""Gets the connection and the head of the request; the next request is read afterwards."""

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read up to and with ``end``, byte by byte; empty at the end of the stream."""
    text = b""
    while not text.endswith(end):
        byte = connection.recv(1)
        if not byte:
            return b""
        text += byte
    return text


def read_exactly(connection: socket.socket, count: int) -> bytes:
    """Read ``count`` bytes, or less at the end of the stream."""
    text = b""
    while len(text) < count and (piece := connection.recv(count - len(text))):
        text += piece
    return text


def reset(connection: socket.socket) -> None:
    """End the connection with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@contextmanager
def scripted_version(script: Script) -> Iterator[str]:
    """The URL of a version that does as ``script`` says, on a free port of 127.0.0.1."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connection: socket.socket = self.request
            connection.settimeout(30)
            try:
                while head := read_until(connection, b"\r\n\r\n"):
                    script(connection, head)
            except OSError:
                return  # the other side is gone, or the script has closed it

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        allow_reuse_address = True
        request_queue_size = 200

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
