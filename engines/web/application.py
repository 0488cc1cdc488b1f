"""The HTTP application of one release."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from engines import SERVICE, VERSIONS
from engines.conversation.sessions import Sessions
from engines.conversation.text_source import TextSource
from engines.recommendation.feedback_store import FeedbackStore
from engines.recommendation.training import Training
from engines.settings import Settings
from engines.web.conversation_routes import conversation_routes
from engines.web.gate import Gate
from engines.web.observability import SESSIONS
from engines.web.problems import handle_errors
from engines.web.recommend_routes import recommend_routes, recommender
from engines.web.schemas import Health

_log = structlog.get_logger("ion")


def application(settings: Settings) -> ASGIApp:
    """The application. Phase 4 learns its model here: a server that is not ready is better than one that guesses."""
    version = VERSIONS[settings.release]
    phase4 = settings.release == "phase4"
    sessions = Sessions(settings.database_url) if phase4 else None
    texts = TextSource(settings.text_api_url)
    training = None if sessions is None else Training(settings.data, FeedbackStore(sessions.engine))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        _log.info("started", release=settings.release)
        hourly = None if training is None else asyncio.create_task(training.hourly())
        yield
        if hourly is not None:
            hourly.cancel()
        await texts.close()
        if sessions is not None:
            sessions.close()
        _log.info("stopped")

    app = FastAPI(title="ION Mentoring", version=version, lifespan=lifespan, docs_url=None, redoc_url=None)
    handle_errors(app)
    app.include_router(recommend_routes(recommender(training, settings.faults)))
    if sessions is not None:
        SESSIONS.set_function(sessions.active)
        app.include_router(conversation_routes(sessions, texts))

    @app.get("/health")
    async def health() -> Health:
        return Health(status="healthy", version=version, components={})

    @app.get("/health/ready", responses={503: {"model": Health}})
    async def ready(response: Response) -> Health:
        components = {"router": "ready"}
        if sessions is not None and training is not None:
            components |= {"model": training.ensemble.model.version, "database": await _database(sessions)}
        down = "down" in components.values()
        response.status_code = 503 if down else 200
        return Health(status="not ready" if down else "ready", version=version, components=components)

    @app.get("/metrics", response_class=Response, include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    _log.info("configured", service=SERVICE)
    return Gate(app, settings)


async def _database(sessions: Sessions) -> str:
    try:
        await run_in_threadpool(sessions.ready)
    except SQLAlchemyError as error:
        _log.error("the database does not answer", exc_info=error)
        return "down"
    return "ready"
