"""Bodies of requests and answers about the share of users whom the ensemble answers."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictBool

from engines.canary.answers import By
from engines.canary.health import State
from engines.web.schemas import RequestBody, example

_AT = "2025-10-22T14:00:00Z"
_MEASURED = {
    "requests": 1200,
    "errors": 1,
    "refused": 4,
    "error_rate": 0.000833,
    "mean_ms": 2.1,
    "p50_ms": 1.9,
    "p95_ms": 4.2,
    "p99_ms": 7.7,
    "statuses": {"200": 1195, "422": 4, "500": 1},
}
_CHECK = {"name": "error_rate", "value": 0.000833, "limit": 0.01, "state": "healthy"}
_STATUS = {
    "enabled": True,
    "traffic_percentage": 5.0,
    "health_status": "healthy",
    "last_check": _AT,
    "consecutive_failures": 0,
    "endpoints": ["/api/v2/recommend/personalized"],
}
_ERROR = {
    "at": _AT,
    "method": "POST",
    "path": "/api/v2/recommend/personalized",
    "status": 500,
    "response_time_ms": 3.2,
    "request_id": "3f0c1d2e4b5a6978",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
}


class Ping(BaseModel):
    """The routes of the canary are there."""

    model_config = example(status="ok", timestamp=_AT)

    status: str
    timestamp: datetime


class MeasuredAnswers(BaseModel):
    """Some answers together; errors are 5xx, ``refused`` are 4xx. Times are null without answers."""

    model_config = example(**_MEASURED)

    requests: int
    errors: int
    refused: int
    error_rate: float | None
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    statuses: dict[str, int]


class Comparison(BaseModel):
    """Canary minus legacy; null while one of both has fewer than 100 answers."""

    error_rate_difference: float
    p95_ms_difference: float
    canary_share_of_requests: float


class CanaryMetrics(BaseModel):
    """What this process measured of its last 10,000 answers: by what answered, and by route."""

    model_config = example(
        since=_AT,
        all=_MEASURED,
        canary=_MEASURED,
        legacy=_MEASURED,
        comparison={"error_rate_difference": 0.0, "p95_ms_difference": 0.4, "canary_share_of_requests": 0.05},
        endpoints={"POST /api/v2/recommend/personalized": _MEASURED},
    )

    since: datetime
    all: MeasuredAnswers
    canary: MeasuredAnswers
    legacy: MeasuredAnswers
    comparison: Comparison | None
    endpoints: dict[str, MeasuredAnswers]


class HealthCheck(BaseModel):
    """A value and the most it may be; null while there are fewer than 100 answers."""

    name: str
    value: float | None
    limit: float
    state: State


class CanaryHealth(BaseModel):
    """This process against the limits of the release."""

    model_config = example(status="healthy", checks=[_CHECK], timestamp=_AT)

    status: State
    checks: list[HealthCheck]
    timestamp: datetime


class CanaryStatus(BaseModel):
    """Whom the ensemble answers, and how that goes in this process."""

    model_config = example(**_STATUS)

    enabled: bool
    traffic_percentage: float
    health_status: State
    last_check: datetime
    consecutive_failures: int
    endpoints: list[str]


class CanaryConfigRequest(RequestBody):
    """The share of users whom the ensemble answers; what is left out stays as it is."""

    model_config = example(canary_percentage=5, enabled=True)

    canary_percentage: Annotated[float, Field(strict=True, ge=0, le=100)] | None = None
    enabled: StrictBool | None = None


class CanaryConfig(BaseModel):
    """What holds now in this process, and in all others within seconds."""

    model_config = example(
        canary_percentage=5.0,
        enabled=True,
        previous_percentage=100.0,
        metadata={"user_provided_metadata": {}},
    )

    canary_percentage: float
    enabled: bool
    previous_percentage: float
    metadata: dict[str, Any] = Field(default_factory=dict)


class ErrorAnswer(BaseModel):
    """An answer of 5xx, without what anybody said; its ids are in the log."""

    model_config = example(**_ERROR)

    at: datetime
    method: str
    path: str
    status: int
    response_time_ms: float
    by: By | None = None
    request_id: str
    trace_id: str


class ErrorList(BaseModel):
    """The last errors of this process, newest first; of at most 500 that are kept."""

    model_config = example(errors=[_ERROR], total=1)

    errors: list[ErrorAnswer]
    total: int


class CanaryExport(BaseModel):
    """All of it in one document."""

    exported_at: datetime
    status: CanaryStatus
    metrics: CanaryMetrics
    health: CanaryHealth
    errors: list[ErrorAnswer]
