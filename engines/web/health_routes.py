"""Whether the service lives, whether it may be given traffic, and what it measures of itself."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import nan
from typing import Annotated

import structlog
from anyio import CapacityLimiter, fail_after, to_thread
from fastapi import APIRouter, Header, Response
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from engines.conversation.sessions import Sessions
from engines.conversation.text_source import TextSource
from engines.switches import SwitchStore
from engines.web.observability import CIRCUIT, POOL_IN_USE, POOL_SIZE, SESSIONS
from engines.web.problems import GATE_STATUSES, documented

_log = structlog.get_logger("ion")

_READY_WITHIN_S = 2.0
# Threads of their own: who asks whether there is too much to do does not wait behind it.
_CHECKS = CapacityLimiter(2)


class Health(BaseModel):
    """Whether the service lives, and whether it may be given traffic."""

    status: str
    version: str
    components: dict[str, str]


class Features(BaseModel):
    """What of Phase 4 this release offers."""

    recommendations_available: bool
    conversations_available: bool
    ab_testing_enabled: bool


class Phase4Health(BaseModel):
    """What of Phase 4 works now."""

    status: str
    phase4_features: Features
    timestamp: datetime


def health_routes(
    version: str, sessions: Sessions | None, model_version: Callable[[], str] | None, switches: SwitchStore
) -> APIRouter:
    """Health and metrics of a release; Phase 3 has no ``sessions`` and no model, whose version may change."""
    routes = APIRouter()

    # HEAD is what some load balancers ask with; the server leaves the body out.
    @routes.head("/health", include_in_schema=False)
    @routes.get("/health", tags=["health"])
    async def health() -> Health:
        return Health(status="healthy", version=version, components={})

    @routes.head("/health/ready", include_in_schema=False)
    @routes.get("/health/ready", tags=["health"], responses={503: {"model": Health}})
    async def ready(response: Response) -> Health:
        components = await components_of(sessions, model_version)
        down = "down" in components.values()
        response.status_code = 503 if down else 200
        return Health(status="not ready" if down else "ready", version=version, components=components)

    @routes.get("/api/v2/phase4/health", tags=["health"], responses=documented(*GATE_STATUSES))
    async def phase4_health() -> Phase4Health:
        conversations = sessions is not None and await _database(sessions) == "ready"
        features = Features(
            recommendations_available=model_version is not None,
            conversations_available=conversations,
            # Who gets which version is decided by the router in front of both; this is the experiment in here.
            ab_testing_enabled=model_version is not None and switches.now.experiment.running,
        )
        works = features.recommendations_available and conversations
        status = "healthy" if works else "degraded"
        return Phase4Health(status=status, phase4_features=features, timestamp=datetime.now(UTC))

    @routes.get("/metrics", response_class=Response, include_in_schema=False)
    def metrics(accept: Annotated[str, Header()] = "") -> Response:
        encode, media_type = choose_encoder(accept)
        return Response(encode(REGISTRY), headers={"Content-Type": media_type})

    return routes


async def components_of(sessions: Sessions | None, model_version: Callable[[], str] | None) -> dict[str, str]:
    """Each part that a release cannot be without, as "ready", "down", or the version of the model."""
    components = {"router": "ready"}
    if model_version is not None:
        components["model"] = model_version()
    if sessions is not None:
        components["database"] = await _database(sessions)
    return components


def watch(sessions: Sessions, texts: TextSource) -> None:
    """Let the gauges ask the store and the source whenever metrics are read."""
    SESSIONS.set_function(lambda: _counted(sessions))
    POOL_SIZE.set_function(lambda: sessions.pool().size)
    POOL_IN_USE.set_function(lambda: sessions.pool().in_use)
    CIRCUIT.set_function(lambda: texts.circuit.opened)


def _counted(sessions: Sessions) -> float:
    use = sessions.pool()
    if use.in_use >= use.size:
        return nan  # the other metrics do not wait for a connection either
    try:
        return sessions.active()
    except SQLAlchemyError:
        return nan  # the other metrics are needed most when the database is down


async def _database(sessions: Sessions) -> str:
    try:
        with fail_after(_READY_WITHIN_S):
            await to_thread.run_sync(sessions.ready, abandon_on_cancel=True, limiter=_CHECKS)
    except (SQLAlchemyError, TimeoutError) as error:
        _log.error("the database does not answer", exc_info=error)
        return "down"
    return "ready"
