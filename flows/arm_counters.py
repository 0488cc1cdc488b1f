"""Counters of both arms, from the targets' own metrics or from a Prometheus server that scrapes them.

Read are ``http_requests_total`` by its label ``status``, the histogram ``http_request_duration_seconds``, and the
counters of the plan's own metrics.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from decision.objectives import Slo
from decision.rollout_spec import JudgeMetrics, JudgePrometheus, PlanMetric
from processes.errors import CollectError
from rollouts.counters import ArmCounters, Reading
from telemetry.prometheus_source import PrometheusSource, prometheus_source
from telemetry.scrape import scrape

_REQUESTS, _BUCKETS = "http_requests_total", "http_request_duration_seconds_bucket"
_TIMEOUT_S = 2.0
"""Of each scrape: a version that hangs must not keep a tick from renewing the lease."""

_Series = tuple[str, Mapping[str, str], float | None]


@dataclass(frozen=True)
class Wanted:
    """What is read of each arm: requests slower than each of two limits, and the plan's own metrics."""

    slow_ms: float
    too_slow_ms: float
    metrics: Mapping[str, PlanMetric] = field(default_factory=dict)


@contextmanager
def counters_reader(judge: JudgeMetrics | JudgePrometheus, slo: Slo) -> Iterator[Callable[[], Reading]]:
    """How the counters of both arms are read as long as the block; raises CollectError when they cannot be."""
    wanted = wanted_of(slo, judge.metrics)
    if isinstance(judge, JudgeMetrics):
        yield lambda: scraped_reading(judge.stable, judge.candidate, wanted)
    else:
        with prometheus_source(judge.url) as source:
            yield lambda: prometheus_reading(
                source, job=judge.job, stable=judge.stable, canary=judge.candidate, wanted=wanted
            )


def wanted_of(slo: Slo, metrics: Mapping[str, PlanMetric]) -> Wanted:
    """What the objectives and the plan's own metrics ask for; a plan is checked to say what is slow."""
    latency = slo["latency-p95"]
    assert latency.promote_at_most is not None, "a plan whose judge looks at counters says what is slow"
    return Wanted(latency.promote_at_most, latency.roll_back_above or latency.promote_at_most, metrics)


def scraped_reading(stable_url: str, canary_url: str, wanted: Wanted) -> Reading:
    """Scrape both arms now. Raises CollectError when one does not answer, or lacks a counter or a bucket."""
    at_s = time.time()
    return Reading(_scraped(stable_url, wanted), _scraped(canary_url, wanted), at_s, wanted.slow_ms, wanted.too_slow_ms)


def prometheus_reading(source: PrometheusSource, *, job: str, stable: str, canary: str, wanted: Wanted) -> Reading:
    """What Prometheus scraped last of the two values of its label ``target``. Raises CollectError as a scrape does.

    One query asks for everything, so that all of a target's counters are of the same scrape.
    """
    # The name tells counters apart within a part only: between parts "or" does not look at it, but at status and le.
    names = "|".join(_names(wanted))
    parts = [(_REQUESTS, "status"), (_BUCKETS, "le"), *([(names, "job")] if names else [])]
    sums = [f'sum by (__name__, target, {label}) ({{__name__=~"{name}", job="{job}"}})' for name, label in parts]
    found = source.query(" or ".join([*sums, f'min by (target) (timestamp({_BUCKETS}{{job="{job}"}}))']))

    def of(target: str) -> ArmCounters:
        series = [
            (one.labels.get("__name__", ""), one.labels, one.value)
            for one in found
            if one.labels.get("target") == target
        ]
        return _counters(target, series, wanted)

    scraped_s = {one.labels.get("target"): one.value for one in found if set(one.labels) == {"target"}}
    of_both = of(stable), of(canary)
    at_s = [value for target in (stable, canary) if (value := scraped_s.get(target)) is not None]
    if len(at_s) < len(of_both):
        raise CollectError(f"Prometheus does not say when it scraped {_BUCKETS} of {stable} and {canary}")
    return Reading(*of_both, min(at_s), wanted.slow_ms, wanted.too_slow_ms)


def _scraped(url: str, wanted: Wanted) -> ArmCounters:
    samples = scrape(url, timeout_s=_TIMEOUT_S).samples.items()
    return _counters(url, [(name, dict(labels), value) for (name, labels), value in samples], wanted)


def _names(wanted: Wanted) -> list[str]:
    return sorted({name for metric in wanted.metrics.values() for name in (metric.bad, metric.of)})


def _counters(where: str, series: Iterable[_Series], wanted: Wanted) -> ArmCounters:
    by_status, within, own = dict.fromkeys(("all", "5", "4"), 0.0), dict[float, float](), dict[str, float]()
    names = set(_names(wanted))
    for name, labels, value in series:
        if name not in {_REQUESTS, _BUCKETS} | names:
            continue
        if value is None:
            raise CollectError(f"{where}: {name} is no number")
        if name == _BUCKETS:
            limit_ms = 1000 * float(labels["le"])
            within[limit_ms] = within.get(limit_ms, 0.0) + value
        elif name == _REQUESTS and (status := labels.get("status")):
            for kind in {"all", status[0]} & by_status.keys():
                by_status[kind] += value
        elif name == _REQUESTS:
            raise CollectError(f"{where}: {_REQUESTS} has no label status")
        if name in names:
            own[name] = own.get(name, 0.0) + value
    return ArmCounters(
        requests=by_status["all"],
        errors=by_status["5"],
        rejections=by_status["4"],
        slow=_above(where, within, wanted.slow_ms),
        too_slow=_above(where, within, wanted.too_slow_ms),
        metrics={name: _pair(where, name, metric, own) for name, metric in wanted.metrics.items()},
    )


def _above(where: str, within: Mapping[float, float], limit_ms: float) -> float:
    below = next((count for edge_ms, count in within.items() if abs(edge_ms - limit_ms) < 1e-6), None)
    if below is None or math.inf not in within:
        raise CollectError(f"{where}: http_request_duration_seconds has no bucket of {limit_ms:g} ms")
    return within[math.inf] - below


def _pair(where: str, name: str, metric: PlanMetric, own: Mapping[str, float]) -> tuple[float, float]:
    if missing := next((counter for counter in (metric.of, metric.bad) if counter not in own), None):
        raise CollectError(f"{where}: {missing} of the plan's metric {name} is missing")
    if own[metric.bad] > own[metric.of]:
        raise CollectError(f"{where}: {metric.bad} counts more than {metric.of}, of which it is to be a share ({name})")
    return own[metric.bad], own[metric.of]
