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
from engines.answer_cache import AnswerCache
from engines.canary.answers import Answers
from engines.conversation.sessions import Sessions
from engines.conversation.text_source import TextSource
from engines.conversation.turns import TurnTaker
from engines.recommendation.feedback_store import FeedbackStore
from engines.recommendation.training import Training
from engines.settings import Settings
from engines.shared import KEEP_UP_EVERY_S, Shared, regularly
from engines.web.cache_routes import cache_routes
from engines.web.canary_routes import canary_routes
from engines.web.conversation_routes import conversation_routes
from engines.web.experiment_routes import experiment_routes
from engines.web.gate import OPEN_PATHS, Gate
from engines.web.health_routes import components_of, health_routes, watch
from engines.web.observability import HISTORY_LOST, SHARED_AGE, SWEPT
from engines.web.persona_routes import persona_routes, root_chat_routes
from engines.web.problems import GATE_STATUSES, documented, handle_errors
from engines.web.recommend_routes import Recommender, recommend_routes
from engines.web.status_routes import Parts, status_routes
from engines.web.summary_routes import summary_routes

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
    store = Sessions(settings.database_url, settings.database_pool_size)
    sessions = store if phase4 else None  # Phase 3 keeps what became of its users, and no conversations
    texts = TextSource(settings.text_api)
    feedback = FeedbackStore(store.engine)
    training = Training(settings.data, feedback) if phase4 else None
    shared, answers, cache = Shared(store.engine, store.calls), Answers(), AnswerCache()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(sweep_regularly(sessions)) if sessions else None
        _log.info("started", release=settings.release)
        learning = None if training is None else asyncio.create_task(training.keep_up())
        keeping_up = asyncio.create_task(regularly(shared.keep_up, "keeping up with others", KEEP_UP_EVERY_S))
        forgetting = asyncio.create_task(regularly(shared.outcomes.forget, "old outcomes", _SWEEP_EVERY_S))
        yield
        for task in (learning, sweeping, keeping_up, forgetting):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        shared.close()
        store.close()
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
    app.include_router(health_routes(version, sessions, model_version, shared.switches))
    app.include_router(
        status_routes(Parts(version, settings, shared, answers, cache, lambda: components_of(sessions, model_version)))
    )
    SHARED_AGE.set_function(lambda: shared.age_s)
    HISTORY_LOST.set_function(lambda: shared.history.lost)
    source, user_needed = Recommender(training, feedback.secret, settings.faults, shared), settings.production
    routes = [
        persona_routes(cache),
        root_chat_routes(cache),
        recommend_routes(source, user_needed=user_needed),
        experiment_routes(shared, source.arm, settings),
        cache_routes(cache, settings),
    ]
    if sessions is not None:
        watch(sessions, texts)
        turns = TurnTaker(sessions, texts)
        routes += [
            conversation_routes(sessions, turns, user_needed=user_needed),
            summary_routes(sessions, turns, user_needed=user_needed),
            canary_routes(shared, answers, settings),
        ]
    for some in routes:
        app.include_router(some, responses=documented(*GATE_STATUSES, 422))
    if settings.api_keys:
        _describe_keys(app)
    _log.info("configured", service=SERVICE)
    return Gate(app, settings, answers)


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
