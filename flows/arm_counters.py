"""Counters of both arms, from the targets' own metrics or from a Prometheus server that scrapes them.

Read are ``http_requests_total`` by its label ``status`` and the histogram ``http_request_duration_seconds``.
"""

from collections.abc import Iterable, Mapping

from processes.errors import CollectError
from rollouts.counters import ArmCounters, Reading
from telemetry.prometheus_source import PrometheusSource
from telemetry.scrape import scrape

_REQUESTS, _BUCKETS = "http_requests_total", "http_request_duration_seconds_bucket"
_Series = tuple[Mapping[str, str], float | None]


def scraped_reading(stable_url: str, canary_url: str, *, slow_above_ms: float) -> Reading:
    """Scrape both arms now. Raises CollectError when one does not answer, or lacks a counter or a bucket."""
    return Reading(_scraped(stable_url, slow_above_ms), _scraped(canary_url, slow_above_ms))


def prometheus_reading(
    source: PrometheusSource, *, job: str, stable: str, canary: str, slow_above_ms: float
) -> Reading:
    """What Prometheus scraped last of the two values of its label ``target``. Raises CollectError as a scrape does.

    One query asks for everything, so that all of a target's counters are of the same scrape.
    """
    query = " or ".join(
        f'sum by (target, {label}) ({name}{{job="{job}"}})' for name, label in ((_REQUESTS, "status"), (_BUCKETS, "le"))
    )
    found = source.query(query)

    def of(target: str) -> ArmCounters:
        series = [(one.labels, one.value) for one in found if one.labels.get("target") == target]
        return _counters(target, series, slow_above_ms)

    return Reading(of(stable), of(canary))


def _scraped(url: str, slow_above_ms: float) -> ArmCounters:
    samples = scrape(url).samples.items()
    series = [(dict(labels), value) for (name, labels), value in samples if name in (_REQUESTS, _BUCKETS)]
    return _counters(url, series, slow_above_ms)


def _counters(where: str, series: Iterable[_Series], slow_above_ms: float) -> ArmCounters:
    by_status, by_limit_ms = dict.fromkeys(("all", "5", "4", "429"), 0.0), dict[float, float]()
    for labels, value in series:
        if value is None:
            raise CollectError(f"{where}: a counter is no number")
        if "le" in labels:
            limit_ms = 1000 * float(labels["le"])
            by_limit_ms[limit_ms] = by_limit_ms.get(limit_ms, 0.0) + value
        elif status := labels.get("status"):
            for kind in {"all", status[0], status} & by_status.keys():
                by_status[kind] += value
        else:
            raise CollectError(f"{where}: {_REQUESTS} has no label status")
    within = next((count for limit_ms, count in by_limit_ms.items() if abs(limit_ms - slow_above_ms) < 1e-6), None)
    if within is None or float("inf") not in by_limit_ms:
        raise CollectError(f"{where}: http_request_duration_seconds has no bucket of {slow_above_ms:g} ms")
    return ArmCounters(
        requests=by_status["all"],
        errors=by_status["5"],
        rejections=by_status["4"] - by_status["429"],
        slow=by_limit_ms[float("inf")] - within,
    )
