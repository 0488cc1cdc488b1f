"""Metrics and logs. A log line is one JSON object; the ids in it are also in the answer's headers and in exemplars."""

import logging
import sys
from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.tracebacks import ExceptionDictTransformer

from engines.canary.answers import By

_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_RECENT_ANSWERS = 1000

REQUESTS = Counter("http_requests", "Requests answered.", ["method", "path", "status"])
REQUEST_DURATION = Histogram("http_request_duration_seconds", "From request to answer.", ["path"], buckets=_BUCKETS_S)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests that have come and are not yet answered.")
ROUTER_LATENCY = Histogram("personality_router_latency_seconds", "Time of the resonance router.", buckets=_BUCKETS_S)
RECOMMENDATION_LATENCY = Histogram("recommendation_engine_latency", "Seconds of the ensemble.", buckets=_BUCKETS_S)
MULTITURN_LATENCY = Histogram("multiturn_engine_latency", "Seconds of a turn.", buckets=_BUCKETS_S)
CHATS = Counter("chat_requests", "Turns answered.", ["persona", "resonance_key"])
CHAT_DURATION = Histogram("chat_response_duration_seconds", "Seconds of a turn, by persona.", ["persona"])
TEXTS = Counter("text_answers", "Texts by what wrote them, and why not the API.", ["source", "reason"])
CIRCUIT = Gauge("text_api_circuit_open", "1 while the text API is left alone.")
SESSIONS = Gauge(
    "session_count", "Sessions that are open and have not expired; NaN while the database cannot be asked."
)
SWEPT = Counter("sessions_swept", "Sessions removed after they had expired.")
POOL_SIZE = Gauge("database_pool_size", "Connections that the pool may hold.")
POOL_IN_USE = Gauge("database_pool_in_use", "Connections that requests hold.")

RECOMMENDATIONS = Counter("recommendations", "Recommendations given, by the ensemble (canary) or the router.", ["by"])
CACHE_LOOKUPS = Counter("answer_cache_lookups", "Answers without a session, by whether they were kept.", ["outcome"])
SHARED_AGE = Gauge("shared_state_age_seconds", "Since this process last knew what the others had changed.")
HISTORY_LOST = Gauge("history_lost", "Past recommendations that were never written: no database took them in time.")

trace_id: ContextVar[str] = ContextVar("trace_id", default="")
request_id: ContextVar[str] = ContextVar("request_id", default="")
answered_by: ContextVar[By | None] = ContextVar("answered_by", default=None)


class _DerivedMetrics(Collector):
    """Two names of the release's papers, made when they are asked for.

    ``http_request_total`` is ``http_requests_total`` under its older name; ``error_rate_percentage`` is the share of
    5xx among the last 1,000 answers.
    """

    def __init__(self) -> None:
        self.failed: deque[bool] = deque(maxlen=_RECENT_ANSWERS)

    def collect(self) -> Iterable[Metric]:
        labels = ["method", "path", "status"]
        total = CounterMetricFamily("http_request", "The same as http_requests_total.", labels=labels)
        for sample in next(iter(REQUESTS.collect())).samples:
            if sample.name == "http_requests_total":
                total.add_metric([sample.labels[label] for label in labels], sample.value)
        yield total
        failed = list(self.failed)
        rate = 100 * sum(failed) / len(failed) if failed else 0.0
        yield GaugeMetricFamily("error_rate_percentage", "5xx among the last 1,000 answers, in percent.", value=rate)


_derived = _DerivedMetrics()
REGISTRY.register(_derived)


def observe_answer(method: str, path: str, status: int, duration_s: float) -> None:
    """Count an answer; its ids are kept as the example of its bucket."""
    REQUESTS.labels(method, path, str(status)).inc()
    example = {"trace_id": trace_id.get(), "request_id": request_id.get()}
    REQUEST_DURATION.labels(path).observe(duration_s, example)
    _derived.failed.append(status >= 500)


def log_as_json(service: str, version: str) -> None:
    """Send everything that is logged, by us or by libraries, to stderr as JSON lines."""

    def describe(_logger: Any, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
        ids = {"trace_id": trace_id.get(), "request_id": request_id.get()}
        return entry | ids | {"service": service, "version": version}

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.EventRenamer("message"),
            # Without the variables of the frames: they hold what users said, and keys.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
