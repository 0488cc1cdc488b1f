"""The same traffic judged from the router's log, by direct scrapes and from a Prometheus server."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from flows.arm_counters import Wanted, prometheus_reading, scraped_reading
from processes.errors import CollectError
from processes.wait import wait_for
from rollouts.counters import judge_counters
from rollouts.judge import Requests, judge
from rollouts.open_router import open_router
from telemetry.prometheus_server import Scraped, find_prometheus, prometheus_server
from telemetry.prometheus_source import prometheus_source
from tests.unit.rollouts.requests import SLO

pytestmark = pytest.mark.skipif(find_prometheus() is None, reason="Prometheus is not installed")
ALPHA = 0.0025
USERS = 4
REQUESTS = 2000
WANTED = Wanted(slow_ms=250.0, too_slow_ms=1000.0)


class Version(ThreadingHTTPServer):
    """A version that counts as Prometheus' client does; ``/metrics`` and the readiness are not counted."""

    daemon_threads = True

    def __init__(self, error_rate: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.error_rate, self.chance, self.lock = error_rate, random.Random(7), threading.Lock()
        self.registry = CollectorRegistry()
        self.requests = Counter("http_requests", "of users", ["status"], registry=self.registry)
        self.duration = Histogram(
            "http_request_duration_seconds", "of users", buckets=(0.01, 0.25, 1.0), registry=self.registry
        )


class Handler(BaseHTTPRequestHandler):
    server: Version
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/metrics":
            return self.answer(200, generate_latest(self.server.registry))
        with self.server.lock:
            status = 500 if self.server.chance.random() < self.server.error_rate else 200
        self.server.requests.labels(status=str(status)).inc()
        self.server.duration.observe(0.001)
        return self.answer(status, b"x")

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def version(error_rate: float) -> Iterator[Version]:
    server = Version(error_rate)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url: str, count: int, seed: int) -> None:
    chance = random.Random(seed)
    with httpx.Client(trust_env=False, timeout=20) as client:
        for _ in range(count):
            client.get(url, headers={"x-user-id": f"user-{chance.randrange(5000)}"})


@pytest.mark.parametrize(("error_rate", "verdict"), [(0.12, "harm"), (0.01, "not-proven")])
def test_log_scrapes_and_prometheus_give_the_same_judgement(tmp_path: Path, error_rate: float, verdict: str) -> None:
    with ExitStack() as stack:
        stable, canary = (stack.enter_context(version(rate)) for rate in (0.01, error_rate))
        targets = [Scraped("shop", name, f"{v.url}/metrics") for name, v in (("stable", stable), ("canary", canary))]
        url = stack.enter_context(prometheus_server(targets, rule_files=[], work_dir=tmp_path, webhook_url=None))
        source = stack.enter_context(prometheus_source(url))
        router = stack.enter_context(
            open_router(kind="embedded", stable_url=stable.url, candidate_url=canary.url, salt="a", work_dir=tmp_path)
        )
        _, cursor = router.requests_since(0)
        router.renew_lease()
        router.set_share(3000)

        def of_prometheus():
            return prometheus_reading(source, job="shop", stable="stable", canary="canary", wanted=WANTED)

        def is_known() -> bool:
            try:
                return bool(of_prometheus())
            except CollectError:  # not scraped yet
                return False

        wait_for(is_known, what="Prometheus' first scrape", timeout_s=20)
        users = [threading.Thread(target=ask, args=(router.url, REQUESTS // USERS, n)) for n in range(USERS)]
        readings: dict[str, list] = {"scrape": [], "prometheus": []}

        def read() -> None:
            router.renew_lease()
            readings["scrape"].append(scraped_reading(f"{stable.url}/metrics", f"{canary.url}/metrics", WANTED))
            readings["prometheus"].append(of_prometheus())

        read()
        for user in users:
            user.start()
        while any(user.is_alive() for user in users):
            read()
            time.sleep(0.5)  # how often counters are read
        for user in users:
            user.join()
        total = scraped_reading(f"{stable.url}/metrics", f"{canary.url}/metrics", WANTED)
        wait_for(
            lambda: replace(of_prometheus(), at_s=total.at_s) == total, what="Prometheus' last scrape", timeout_s=20
        )
        read()
        logged, _ = router.requests_since(cursor)
    judged = {name: judge_counters(found, SLO, harm_alpha=ALPHA) for name, found in readings.items()}
    judged["log"] = judge(Requests.of(logged), SLO, harm_alpha=ALPHA)
    for name, metrics in judged.items():
        print(name, [(m.name, m.verdict, m.baseline, m.canary, m.first_alarm_at) for m in metrics])
        errors, rejections, latency = metrics
        assert errors.verdict == verdict, name
        assert "harm" not in (rejections.verdict, latency.verdict), name
        # Every request is counted once by each of them.
        assert errors.baseline == pytest.approx(judged["log"][0].baseline, abs=1e-9)
        assert errors.canary == pytest.approx(judged["log"][0].canary, abs=1e-9)
