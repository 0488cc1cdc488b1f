"""The dead man's switch: an endpoint that routers ask, and that says yes only while the rollout renews its lease.

When the controller dies the endpoint dies with it, when it hangs the lease lapses, when the candidate accepts no
connection the answer is no: in each case the router sends everyone to stable by itself.
"""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

LEASE_S = 1.8
CHECK_EVERY_S = 0.5
CHECK_TIMEOUT_S = 0.5
"""Lease, interval and timeout of the router's check together: all traffic is on stable within 2.8 s."""
PATH = "/lease"


class Lease:
    """Serves ``GET /lease`` on a free port of 127.0.0.1: 200 while the lease is fresh and the candidate listens."""

    def __init__(self, candidate_url: str) -> None:
        address = urlsplit(candidate_url)
        self._candidate = (address.hostname or "127.0.0.1", address.port or 80)
        self._fresh_until = 0.0
        lease = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == PATH and lease.holds() else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Checks twice a second are not worth a line."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where the endpoint listens."""
        return int(self._server.server_address[1])

    def renew(self) -> None:
        """Hold the lease for another 1.8 s."""
        self._fresh_until = time.monotonic() + LEASE_S

    def holds(self) -> bool:
        """Whether users may be sent to the candidate now."""
        return time.monotonic() < self._fresh_until and self._candidate_listens()

    def close(self) -> None:
        """Stop serving: from now on every check fails."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _candidate_listens(self) -> bool:
        try:
            with socket.create_connection(self._candidate, timeout=CHECK_TIMEOUT_S / 2):
                return True
        except OSError:
            return False
