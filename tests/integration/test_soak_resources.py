"""Where a soak reads resources: the real metrics of ION Mentoring, by themselves and through a real Prometheus."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from decision.collect import PrometheusResources
from flows.resources import resources_reader
from processes.ports import free_port
from processes.resources import read_resources
from processes.supervised import supervised, wait_until_ready
from processes.target import Target
from processes.wait import wait_for
from telemetry.prometheus_server import Scraped, find_prometheus, prometheus_server

ROOT = Path(__file__).resolve().parents[2]

QUERIES = {
    "memory": 'process_resident_memory_bytes{target="{target}"}',
    "cpu": 'process_cpu_seconds_total{target="{target}"}',
    "started": 'process_start_time_seconds{target="{target}"}',
}


@pytest.fixture(scope="module")
def ion(tmp_path_factory):
    port, folder = free_port(), tmp_path_factory.mktemp("ion")
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "engines.api", "--release", "phase4", "--port", str(port)]
    with supervised("ion", argv, log=folder / "log", cwd=ROOT) as process:
        wait_until_ready(process, f"{url}/health/ready", timeout_s=60)
        yield Target("candidate", url, metrics_url=f"{url}/metrics", pid=process.pid)


def check(reading, ion):
    of_system = read_resources(ion.pid)
    assert reading.rss_bytes == pytest.approx(of_system.rss_bytes, rel=0.05)
    assert reading.created_at_s == pytest.approx(of_system.created_at_s, abs=2)
    assert 0 < reading.cpu_s <= of_system.cpu_s + 1


def test_a_targets_own_metrics_are_read(ion):
    with resources_reader("metrics") as read:
        reading = read(ion)
    check(reading, ion)
    assert reading.open_files > 0


def test_metrics_that_are_not_there_are_a_missing_reading(ion):
    with resources_reader("metrics") as read:
        assert read(replace(ion, metrics_url=None)) is None
        assert read(replace(ion, metrics_url=f"http://127.0.0.1:{free_port()}/metrics")) is None
        assert read(replace(ion, metrics_url=f"{ion.url}/health/ready")) is None


def test_a_prometheus_server_is_asked(ion, tmp_path):
    if find_prometheus() is None:
        pytest.skip("Prometheus is not installed on this machine")
    scraped = [Scraped("ion", "candidate", ion.metrics_url)]
    with prometheus_server(scraped, rule_files=[], work_dir=tmp_path, webhook_url=None) as url:
        source = PrometheusResources(prometheus=url, **QUERIES)
        with resources_reader(source) as read:
            wait_for(lambda: read(ion) is not None, what="the first scrape", timeout_s=30)
            check(read(ion), ion)
            assert read(replace(ion, name="nobody")) is None
    with resources_reader(source) as read:
        assert read(ion) is None
