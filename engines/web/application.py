"""The HTTP application of one release."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import uniform
from typing import Any

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from engines import SERVICE, VERSIONS
from engines.conversation.sessions import Sessions
from engines.conversation.text_source import TextSource
from engines.conversation.turns import TurnTaker
from engines.recommendation.feedback_store import FeedbackStore
from engines.recommendation.training import Training
from engines.settings import Settings
from engines.web.conversation_routes import conversation_routes
from engines.web.gate import OPEN_PATHS, Gate
from engines.web.health_routes import health_routes, watch
from engines.web.observability import SWEPT
from engines.web.persona_routes import persona_routes
from engines.web.problems import GATE_STATUSES, documented, handle_errors
from engines.web.recommend_routes import recommend_routes, recommender

_log = structlog.get_logger("ion")

_SWEEP_EVERY_S = 600.0
_DESCRIPTION = (
    "Recommends one of four mentors to a user, and holds conversations with them. Errors are problem details "
    "(RFC 9457). Answers carry `X-Request-Id` and `X-Trace-Id`; those of a request are taken from its "
    "`X-Request-Id` and `traceparent` headers."
)


def application(settings: Settings) -> ASGIApp:
    """The application. Phase 4 learns its model here: a server that is not ready is better than one that guesses.

    Raises SQLAlchemyError when the database cannot be reached.
    """
    version = VERSIONS[settings.release]
    phase4 = settings.release == "phase4"
    sessions = Sessions(settings.database_url, settings.database_pool_size) if phase4 else None
    texts = TextSource(settings.text_api)
    training = None if sessions is None else Training(settings.data, FeedbackStore(sessions.engine, sessions.calls))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(sweep_regularly(sessions)) if sessions else None
        _log.info("started", release=settings.release)
        learning = None if training is None else asyncio.create_task(training.keep_up())
        yield
        for task in (learning, sweeping):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if sessions is not None:
            sessions.close()
        await texts.close()
        _log.info("stopped")

    app = FastAPI(
        title="ION Mentoring",
        description=_DESCRIPTION,
        version=version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    handle_errors(app)
    model_version = None if training is None else lambda: training.ensemble.model.version
    app.include_router(health_routes(version, sessions, model_version))
    routes = [
        persona_routes(),
        recommend_routes(recommender(training, settings.faults), user_needed=settings.production),
    ]
    if sessions is not None:
        watch(sessions, texts)
        turns = TurnTaker(sessions, texts)
        routes.append(conversation_routes(sessions, turns, user_needed=settings.production))
    for some in routes:
        app.include_router(some, responses=documented(*GATE_STATUSES, 422))
    if settings.api_keys:
        _describe_keys(app)
    _log.info("configured", service=SERVICE)
    return Gate(app, settings)


async def sweep_regularly(sessions: Sessions, every_s: float = _SWEEP_EVERY_S) -> None:
    """Remove sessions that expired long ago, again and again; processes that start together drift apart."""
    while True:
        try:
            if removed := await sessions.calls.run(sessions.sweep):
                SWEPT.inc(removed)
                _log.info("swept", sessions=removed)
        except SQLAlchemyError as error:
            _log.error("expired sessions could not be removed", exc_info=error)
        await asyncio.sleep(every_s * uniform(0.8, 1.2))


def _describe_keys(app: FastAPI) -> None:
    """Say in the document that the routes of the API want a bearer key, which the gate asks for."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        document = describe()
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values() if path not in OPEN_PATHS else ():
                operation["security"] = [{"bearer": []}]
        return document

    app.openapi = described  # type: ignore[method-assign]
