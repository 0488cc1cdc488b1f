"""Where a soak reads what its targets use: the operating system, their own metrics, or a Prometheus server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from decision.collect import PrometheusResources
from processes.errors import CollectError
from processes.resources import Resources, read_tree
from processes.target import Target
from telemetry.prometheus_source import PrometheusSource, prometheus_source
from telemetry.scrape import scrape

ReadResources = Callable[[Target], Resources | None]
"""Reads once; None when the source does not answer: a missing sample, never a zero."""


@contextmanager
def resources_reader(source: Literal["process", "metrics"] | PrometheusResources) -> Iterator[ReadResources]:
    """How the resources of targets are read as long as the block."""
    if source == "process":
        yield lambda target: None if target.pid is None else read_tree(target.pid)
    elif source == "metrics":
        yield resources_of_metrics
    else:
        with prometheus_source(source.prometheus) as prometheus:
            yield lambda target: resources_of_prometheus(prometheus, source, target)


def resources_of_metrics(target: Target) -> Resources | None:
    """What a target says of itself, under the standard names of Prometheus' client libraries."""
    if target.metrics_url is None:
        return None
    try:
        metrics = scrape(target.metrics_url)
    except CollectError:
        return None
    open_files = metrics.total("process_open_fds")
    return _resources(
        metrics.total("process_resident_memory_bytes"),
        metrics.total("process_cpu_seconds_total"),
        metrics.total("process_start_time_seconds"),
        None if open_files is None else int(open_files),
    )


def resources_of_prometheus(
    prometheus: PrometheusSource, queries: PrometheusResources, target: Target
) -> Resources | None:
    """What a Prometheus server knows of a target; each query must give exactly one series."""
    port = str(urlsplit(target.url).port)

    def ask(query: str) -> float | None:
        series = prometheus.query(query.replace("{target}", target.name).replace("{port}", port))
        return series[0].value if len(series) == 1 else None

    try:
        return _resources(ask(queries.memory), ask(queries.cpu), ask(queries.started), None)
    except CollectError:
        return None


def _resources(memory: float | None, cpu: float | None, started: float | None, files: int | None) -> Resources | None:
    if memory is None or cpu is None or started is None:
        return None
    return Resources(
        pid=None,
        created_at_s=started,
        rss_bytes=int(memory),
        cpu_s=cpu,
        open_files=files,
        threads=None,
        connections=None,
        processes=None,
    )
