"""Where a soak reads what its targets use: the operating system, their own metrics, or a Prometheus server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from decision.collect import PrometheusResources
from processes.errors import CollectError, ProcessError, UsageError
from processes.resources import Resources, is_alive, listener_on, listens, read_tree
from processes.target import Target
from processes.wait import wait_for
from telemetry.prometheus_source import PrometheusSource, prometheus_source
from telemetry.scrape import scrape

ReadResources = Callable[[Target], Resources | None]
"""Reads once; None when the source does not answer: a missing sample, never a zero."""

_LISTENS_WITHIN_S = 5.0


@contextmanager
def resources_reader(source: Literal["process", "metrics"] | PrometheusResources) -> Iterator[ReadResources]:
    """How the resources of targets are read as long as the block."""
    if source == "process":
        yield resources_of_process
    elif source == "metrics":
        yield resources_of_metrics
    else:
        with prometheus_source(source.prometheus) as prometheus:
            yield lambda target: resources_of_prometheus(prometheus, source, target)


def resources_of_process(target: Target) -> Resources | None:
    """What a target's process and its descendants use; None where none of them is the server."""
    if target.pid is None or not listens(target.pid, _port(target)):
        return None
    return read_tree(target.pid)


def check_is_server(target: Target) -> None:
    """Raise UsageError where the process that was started lives, and another one that it left behind is the server."""
    pid, port = target.pid, _port(target)
    if pid is None:
        return
    try:
        wait_for(
            lambda: listens(pid, port) or not is_alive(pid),
            what=f"target {target.name} listening on port {port}",
            timeout_s=_LISTENS_WITHIN_S,
        )
    except ProcessError as error:
        server = listener_on(port)
        found = "" if server is None else f" (that is process {server}, which goes on running: end it)"
        raise UsageError(
            f"target {target.name}: neither the process that was started ({pid}) nor a child of it listens on port "
            f"{port}{found}: its memory would not be the server's. Start the server in the foreground, or say where "
            "its memory is read (resources)"
        ) from error


def _port(target: Target) -> int:
    parts = urlsplit(target.url)
    return parts.port or (443 if parts.scheme == "https" else 80)


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
