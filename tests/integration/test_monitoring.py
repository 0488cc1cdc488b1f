"""Monitoring of a small real target, by a real Prometheus and Alertmanager where they are installed."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from pydantic import TypeAdapter

from decision.objectives import Slo
from evidence.measurement import Measurement
from evidence.results import MonitoringResult
from processes.errors import CollectError, UsageError
from processes.ports import free_port
from processes.target import Target
from telemetry import monitoring
from telemetry.monitoring import check_monitoring
from telemetry.prometheus_server import Scraped, find_alertmanager, find_prometheus, prometheus_server
from telemetry.prometheus_source import prometheus_source
from telemetry.scrape import scrape

needs_prometheus = pytest.mark.skipif(
    not (find_prometheus() and find_alertmanager()), reason="Prometheus or Alertmanager is not installed"
)

_SLO: Slo = TypeAdapter(Slo).validate_python(
    {
        "error-rate": {
            "unit": "ratio",
            "roll_back_above": "1%",
            "for": "3 windows",
            "roll_back_at_once_above": "5%",
            "at_least_requests": 100,
        },
        "latency-p95": {"unit": "ms", "roll_back_above": 500, "for": "3 windows"},
        "latency-mean": {"unit": "ms", "roll_back_above": 400},
        "memory": {"unit": "ratio", "roll_back_above": "85%", "for": "2 windows"},
        "cpu": {"unit": "ratio", "roll_back_above": "80%", "for": "3 windows"},
        "availability": {"unit": "ratio", "roll_back_below": "99%"},
        "consecutive-failures": {"unit": "count", "roll_back_above": 9},
    }
)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """A target that counts its scrapes as requests and logs each as JSON."""
    registry = CollectorRegistry()
    requests = Counter("http_requests_total", "Requests", ["status"], registry=registry)
    log = tmp_path / "target.log"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.labels("200").inc()
            with log.open("a") as lines:
                lines.write(json.dumps({"level": "info", "trace_id": "t"}) + "\n")
            body = generate_latest(registry)
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield Target("candidate", url, metrics_url=f"{url}/metrics", log=log)
    server.shutdown()
    thread.join()
    server.server_close()


def _dashboard(path: Path, *queries: str) -> Path:
    panels = [{"type": "stat", "title": f"Panel {n}", "targets": [{"expr": q}]} for n, q in enumerate(queries)]
    path.write_text(json.dumps({"title": "Board", "panels": panels}))
    return path


def _check(targets: list[Target], work_dir: Path, **changed: Any) -> tuple[Measurement, MonitoringResult]:
    arguments: dict[str, Any] = {
        "slo": _SLO,
        "metric_names": ["http_requests_total"],
        "log_fields": ["level", "trace_id"],
        "dashboards": [],
        "kind": "auto",
        "work_dir": work_dir / "work",
        "progress": lambda done, text: None,
    }
    measurement = check_monitoring(targets, **(arguments | changed))
    assert isinstance(measurement.result, MonitoringResult)
    return measurement, measurement.result


def _failed(result: MonitoringResult) -> set[str]:
    return {check.name for check in result.details if not check.passed}


@needs_prometheus
def test_every_alert_is_proven_and_every_panel_has_data(target: Target, tmp_path: Path) -> None:
    board = _dashboard(tmp_path / "board.json", "rate(http_requests_total[$__rate_interval])", "up")
    started = time.monotonic()
    measurement, result = _check([target], tmp_path, dashboards=[board])
    assert time.monotonic() - started < 30
    assert _failed(result) == set()
    assert measurement.outcome == "passed"
    assert (result.source, result.targets_up, result.metrics_found) == ("prometheus", 1, 1)
    assert (result.rules, result.rules_loaded, result.alerts_proven) == (8, 8, 8)
    assert (result.panels, result.panels_with_data) == (2, 2)
    assert result.log_lines == result.log_lines_parsed > 0
    assert any(check.name == "no alert for healthy metrics" for check in result.details)


@needs_prometheus
def test_what_does_not_watch_is_found(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "_WITHIN_S", 8.0)  # Prometheus takes 5 s to begin
    dead = Target("stable", f"http://127.0.0.1:{free_port()}", metrics_url=f"http://127.0.0.1:{free_port()}/metrics")
    board = _dashboard(tmp_path / "board.json", "no_such_metric", "sum(", "0 / 0 * up", "up")
    measurement, result = _check(
        [target, dead], tmp_path, dashboards=[board], metric_names=["http_requests_total", "gone"]
    )
    assert measurement.outcome == "failed"
    assert (result.targets, result.targets_up) == (2, 1)
    assert (result.metrics_expected, result.metrics_found) == (2, 1)
    assert (result.panels, result.panels_with_data) == (4, 1)
    assert _failed(result) >= {"scrape of stable", "metrics of candidate", "targets up in Prometheus", "panel Panel 1"}


def test_a_direct_scrape_proves_no_alert_and_says_so(target: Target, tmp_path: Path) -> None:
    board = _dashboard(tmp_path / "board.json", "up")
    measurement, result = _check([target], tmp_path, kind="scrape", dashboards=[board])
    assert (measurement.outcome, result.source, result.targets_up) == ("passed", "scrape", 1)
    assert (result.rules, result.rules_loaded, result.alerts_proven, result.panels_with_data) == (8, 0, 0, 0)
    assert {(left.what, left.count) for left in measurement.left_out} == {("alert rules", 8), ("panels", 1)}


def test_a_log_line_that_is_no_json_fails_the_log(target: Target, tmp_path: Path) -> None:
    assert target.log is not None
    target.log.write_text("Traceback (most recent call last):\n")
    measurement, result = _check([target], tmp_path, kind="scrape")
    assert _failed(result) == {"log of candidate"}
    assert result.log_lines - result.log_lines_parsed == 1
    assert measurement.outcome == "failed"


def test_nothing_to_watch_is_no_pass(target: Target, tmp_path: Path) -> None:
    for changed in ({"slo": {}}, {"metric_names": []}):
        with pytest.raises(UsageError):
            _check([target], tmp_path, kind="scrape", **changed)
    with pytest.raises(UsageError):
        _check([], tmp_path, kind="scrape")


def test_prometheus_that_is_asked_for_and_not_installed_is_an_error(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CollectError, match="not installed"):
        _check([target], tmp_path, kind="prometheus")
    _, result = _check([target], tmp_path, kind="auto")
    assert result.source == "scrape"


def test_a_scrape_of_nothing_is_an_error_and_a_missing_metric_is_none(target: Target) -> None:
    metrics = scrape(str(target.metrics_url))
    assert metrics.total("http_requests_total", status="200") == 1
    assert metrics.total("http_requests_total", status="500") is None
    with pytest.raises(CollectError):
        scrape(f"http://127.0.0.1:{free_port()}/metrics")


@needs_prometheus
def test_a_query_without_an_answer_is_empty_and_nan_is_none(target: Target, tmp_path: Path) -> None:
    scraped = [Scraped("job", "target", str(target.metrics_url))]
    with (
        prometheus_server(scraped, rule_files=[], work_dir=tmp_path / "work", webhook_url=None) as url,
        prometheus_source(url) as source,
    ):
        assert source.query("no_such_metric") == []
        assert [sample.value for sample in source.query("vector(0) / 0")] == [None]
        assert [sample.value for sample in source.query("scalar(vector(3))")] == [3.0]
        with pytest.raises(CollectError, match="did not answer"):
            source.query("sum(")
    with prometheus_source(url) as source, pytest.raises(CollectError):
        source.query("up")
