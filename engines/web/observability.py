"""Metrics and logs. A log line is one JSON object; the trace id in it is also in the answer's headers."""

import logging
import sys
from contextvars import ContextVar
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

REQUESTS = Counter("http_requests", "Requests answered.", ["method", "path", "status"])
REQUEST_DURATION = Histogram("http_request_duration_seconds", "From request to answer.", ["path"], buckets=_BUCKETS_S)
ROUTER_LATENCY = Histogram("personality_router_latency_seconds", "Time of the resonance router.", buckets=_BUCKETS_S)
RECOMMENDATION_LATENCY = Histogram("recommendation_engine_latency", "Seconds of the ensemble.", buckets=_BUCKETS_S)
MULTITURN_LATENCY = Histogram("multiturn_engine_latency", "Seconds of a turn.", buckets=_BUCKETS_S)
SESSIONS = Gauge("session_count", "Sessions that are open and have not expired.")

trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def log_as_json(service: str, version: str) -> None:
    """Send everything that is logged, by us or by libraries, to stderr as JSON lines."""

    def describe(_logger: Any, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
        return entry | {"trace_id": trace_id.get(), "service": service, "version": version}

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
            structlog.processors.dict_tracebacks,
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
