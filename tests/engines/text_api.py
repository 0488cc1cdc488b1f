"""A text API of the tests: answers with what it was asked for, and can be told to fail or to be slow."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class TextApiServer(ThreadingHTTPServer):
    """``status``, ``body`` (None: an answer to the prompt), ``delay_s`` and ``encoding`` of the answers.

    ``prompts`` and ``headers`` are those that were seen.
    """

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body, self.delay_s, self.encoding = 200, None, 0.0, None
        self.prompts: list[list[dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: TextApiServer

    def do_POST(self):
        messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        self.server.prompts.append(messages)
        self.server.headers.append(dict(self.headers))
        time.sleep(self.server.delay_s)
        said = [message["content"] for message in messages if message["role"] == "user"]
        answer = {"choices": [{"message": {"content": "answer to " + " | ".join(said)}}]}
        body = json.dumps(answer).encode() if self.server.body is None else self.server.body
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        if self.server.encoding:
            self.send_header("Content-Encoding", self.server.encoding)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return  # whoever asked has given up: that is what some tests are about

    def log_message(self, *_):
        pass


@contextmanager
def text_api() -> Iterator[TextApiServer]:
    with TextApiServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
