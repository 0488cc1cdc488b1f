"""Metrics that break one limit each: what proves that an alert fires, and that it fires for nothing else."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from decision.objectives import Slo
from telemetry.alert_rules import AlertRule

HEALTHY = "healthy"
_REQUESTS_PER_S = 1000.0


class SyntheticExporter(ThreadingHTTPServer):
    """Serves ``/<name of an alert>`` with metrics that break that alert's limit, and ``/healthy`` with none broken."""

    daemon_threads = True

    def __init__(self, slo: Slo, rules: Sequence[AlertRule], memory_limit_bytes: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.slo = slo
        self.broken: dict[str, AlertRule | None] = {HEALTHY: None, **{rule.alert: rule for rule in rules}}
        self.memory_limit_bytes = memory_limit_bytes
        self.started_s = time.monotonic()


@contextmanager
def synthetic_exporter(slo: Slo, rules: Sequence[AlertRule], memory_limit_bytes: float) -> Iterator[SyntheticExporter]:
    """A running exporter on a free port of 127.0.0.1."""
    server = SyntheticExporter(slo, rules, memory_limit_bytes)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def synthetic_metrics(slo: Slo, broken: AlertRule | None, memory_limit_bytes: float, elapsed_s: float) -> str | None:
    """The text of ``/metrics`` after ``elapsed_s`` with one limit broken (None: no limit); None: do not answer."""
    name = broken.objective if broken else None
    if name == "availability":
        return None
    error_share = {"error-rate": _beyond(slo, broken), "consecutive-failures": 1.0}.get(name or "", 0.0)
    latency_s = _beyond(slo, broken) / 1000 if name in ("latency-p95", "latency-mean") else 0.001
    memory = memory_limit_bytes * (_beyond(slo, broken) if name == "memory" else 0.01)
    cpu = _beyond(slo, broken) if name == "cpu" else 0.01
    requests = _REQUESTS_PER_S * (elapsed_s + 1)
    lines = [
        f'http_requests_total{{status="500"}} {requests * error_share}',
        f"http_request_duration_seconds_sum {requests * latency_s}",
        f"http_request_duration_seconds_count {requests}",
        f'http_request_duration_seconds_bucket{{le="{latency_s * 0.999}"}} 0',
        f'http_request_duration_seconds_bucket{{le="{latency_s}"}} {requests}',
        f'http_request_duration_seconds_bucket{{le="+Inf"}} {requests}',
        f"process_resident_memory_bytes {memory}",
        f"process_cpu_seconds_total {cpu * elapsed_s}",
    ]
    if error_share < 1:
        lines.append(f'http_requests_total{{status="200"}} {requests * (1 - error_share)}')
    return "\n".join(lines) + "\n"


def _beyond(slo: Slo, broken: AlertRule | None) -> float:
    """A value half as much again as the limit that is to be broken; a ratio of at most 1 stays one."""
    if broken is None:
        return 0.0
    objective = slo[broken.objective]
    at_once = broken.alert.endswith("FarAboveLimit")
    limit = (objective.roll_back_at_once_above if at_once else objective.roll_back_above) or 0.0
    return limit * 1.5 if objective.unit != "ratio" or limit * 1.5 <= 1 else (limit + 1) / 2


class _Handler(BaseHTTPRequestHandler):
    server: SyntheticExporter

    def do_GET(self) -> None:
        name = self.path.strip("/")
        text = None
        if name in self.server.broken:
            elapsed_s = time.monotonic() - self.server.started_s
            broken = self.server.broken[name]
            text = synthetic_metrics(self.server.slo, broken, self.server.memory_limit_bytes, elapsed_s)
        body = (text or "").encode()
        self.send_response(503 if text is None else 200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""
