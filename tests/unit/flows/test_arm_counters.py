"""What is read of both versions' metrics, over HTTP, and what is no reading at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from decision.rollout_spec import PlanMetric
from flows.arm_counters import Wanted, scraped_reading
from processes.errors import CollectError

CHECKOUTS = PlanMetric(bad="failed_total", of="checkouts_total")
WANTED = Wanted(250.0, 500.0, {"failed-checkouts": CHECKOUTS})
METRICS = """\
http_requests_total{path="/a",status="200"} 90
http_requests_total{path="/b",status="200"} 3
http_requests_total{path="/a",status="404"} 4
http_requests_total{path="/a",status="429"} 1
http_requests_total{path="/a",status="503"} 2
http_request_duration_seconds_bucket{path="/a",le="0.25"} 80
http_request_duration_seconds_bucket{path="/b",le="0.25"} 3
http_request_duration_seconds_bucket{path="/a",le="0.5"} 95
http_request_duration_seconds_bucket{path="/b",le="0.5"} 3
http_request_duration_seconds_bucket{path="/a",le="+Inf"} 97
http_request_duration_seconds_bucket{path="/b",le="+Inf"} 3
checkouts_total{country="DE"} 7
checkouts_total{country="FR"} 3
failed_total 1
"""


@contextmanager
def serving(text: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_counters_are_added_up_over_their_other_labels() -> None:
    with serving(METRICS) as url:
        reading = scraped_reading(url, url, WANTED)
    arm = reading.canary
    assert reading.stable == arm
    assert (arm.requests, arm.errors, arm.rejections) == (100, 2, 5)
    assert (arm.slow, arm.too_slow) == (17, 2)
    assert arm.metrics == {"failed-checkouts": (1, 10)}
    assert (reading.slow_ms, reading.too_slow_ms) == (250, 500)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('le="0.25"', 'le="0.3"', "has no bucket of 250 ms"),
        ('le="+Inf"', 'le="9"', "has no bucket of 250 ms"),
        ('status="404"', 'code="404"', "http_requests_total has no label status"),
        ("failed_total 1", "", "failed_total of the plan's metric failed-checkouts is missing"),
        ("failed_total 1", "failed_total 11", "failed_total counts more than checkouts_total"),
        ("failed_total 1", "failed_total NaN", "failed_total is no number"),
        ("} 90", "} NaN", "http_requests_total is no number"),
    ],
)
def test_what_lacks_or_is_no_count_is_no_reading(old: str, new: str, expected: str) -> None:
    with serving(METRICS) as stable, serving(METRICS.replace(old, new)) as candidate:
        with pytest.raises(CollectError) as caught:
            scraped_reading(stable, candidate, WANTED)
        assert expected in str(caught.value)
        assert str(caught.value).startswith(candidate)
