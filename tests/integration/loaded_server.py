"""A small real server for loads: it can stall, fail and limit."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from processes.target import Target

SLOW_S = {"/slow": 4.0, "/too-slow": 12.0}
"""How long some paths take."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stalled_until_s = 0.0
    asked = 0

    def do_GET(self):
        Handler.asked += 1
        time.sleep(max(SLOW_S.get(self.path, 0.0), Handler.stalled_until_s - time.monotonic(), 0.0))
        status = {"/fail": 500, "/limit": 429, "/missing": 404}.get(self.path, 200)
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_):
        """A client that went away while its answer was written is no news."""


@contextmanager
def loaded_server() -> Iterator[Target]:
    """The server as a target, inside the block."""
    Handler.stalled_until_s = 0.0
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Target("candidate", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
