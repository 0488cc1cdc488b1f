"""A receiver of Alertmanager's webhooks in this process: where an alert must arrive to count as proven."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebhookReceiver(ThreadingHTTPServer):
    """Keeps the labels of every firing alert that reached it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._lock = threading.Lock()
        self._received: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        """Where Alertmanager is to send."""
        return f"http://127.0.0.1:{self.server_port}/alerts"

    def received(self) -> set[tuple[str, str]]:
        """Alert name and target of every firing alert received so far."""
        with self._lock:
            return {(labels.get("alertname", ""), labels.get("target", "")) for labels in self._received}

    def add(self, labels: list[dict[str, str]]) -> None:
        """Keep what one webhook brought."""
        with self._lock:
            self._received += labels


@contextmanager
def webhook_receiver() -> Iterator[WebhookReceiver]:
    """A running receiver on a free port of 127.0.0.1."""
    server = WebhookReceiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: WebhookReceiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        self.server.add([alert["labels"] for alert in body["alerts"] if alert["status"] == "firing"])
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""
