"""Conversations of several turns: what Phase 4 adds."""

import time
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.concurrency import run_in_threadpool

from engines.conversation.memory import MOST_TURNS, Context, context_of, remember, tokens_of
from engines.conversation.sessions import ClosedSession, Session, Sessions
from engines.conversation.text_source import TextSource
from engines.web.observability import MULTITURN_LATENCY
from engines.web.problems import documented
from engines.web.schemas import (
    Closed,
    CloseRequest,
    Listed,
    PastTurn,
    SessionDetail,
    SessionList,
    Started,
    StartRequest,
    TurnRequest,
    TurnTaken,
    UserId,
)

_ERRORS = documented(401, 413, 422, 429, 500, 503)
User = Annotated[str | None, Header(alias="X-User-Id", max_length=128)]


def conversation_routes(sessions: Sessions, texts: TextSource) -> APIRouter:
    """The routes of conversations. A session of another user than ``X-User-Id`` names is not found."""
    routes = APIRouter(prefix="/api/v2/conversations", responses=_ERRORS)

    @routes.post("/start")
    async def start(request: StartRequest) -> Started:
        ttl_hours = request.options.session_ttl_hours
        session = await run_in_threadpool(sessions.start, request.user_id, request.persona_id, ttl_hours)
        return Started(
            session_id=session.session_id,
            user_id=session.user_id,
            persona_id=session.persona,
            created_at=session.created_at,
            expires_at=session.expires_at,
            status=session.state,
            metadata={"user_provided_metadata": request.metadata},
        )

    @routes.post("/{session_id}/turn", responses=documented(404, 409))
    async def turn(session_id: str, request: TurnRequest, user_id: User = None) -> TurnTaken:
        started_s = time.perf_counter()
        session = await run_in_threadpool(sessions.get, session_id, user_id)
        if session.state != "active" or session.turn_count >= MOST_TURNS:
            raise ClosedSession
        with MULTITURN_LATENCY.time():
            before = await run_in_threadpool(sessions.turns, session_id)
            context = context_of(before, request.user_message)
            text = await texts.answer(session.persona, context, request.user_message)
            taken = await run_in_threadpool(sessions.add_turn, session, request.user_message, text.text)
        return TurnTaken(
            turn_number=taken.number,
            session_id=session_id,
            response_text=text.text,
            context_used=context.used,
            next_suggestion=_suggestion(context, taken.number),
            metadata={
                "persona_used": session.persona,
                "text_source": text.source,
                "text_source_reason": text.why,
                "tokens_used": tokens_of(request.user_message) + tokens_of(text.text),
                "processing_time_ms": round((time.perf_counter() - started_s) * 1000, 3),
                "user_provided_metadata": request.metadata,
            },
        )

    @routes.get("/{session_id}", responses=documented(404))
    async def get(session_id: str, user_id: User = None) -> SessionDetail:
        session = await run_in_threadpool(sessions.get, session_id, user_id)
        turns = await run_in_threadpool(sessions.turns, session_id)
        memory = remember([t.user_message for t in turns])
        return SessionDetail(
            session_id=session_id,
            user_id=session.user_id,
            persona_id=session.persona,
            turn_count=session.turn_count,
            messages=[
                PastTurn(turn_id=t.number, user_message=t.user_message, ai_response=t.response_text) for t in turns
            ],
            context_memory={
                "topics": list(memory.topics),
                "entities": {category: list(names) for category, names in memory.entities.items()},
                "user_preferences": memory.preferences,
            },
            state=session.state,
            expires_at=session.expires_at,
        )

    @routes.post("/{session_id}/close", responses=documented(404))
    async def close(session_id: str, request: CloseRequest | None = None, user_id: User = None) -> Closed:
        session = await run_in_threadpool(sessions.finish, session_id, user_id)
        turns = await run_in_threadpool(sessions.turns, session_id)
        closed_at = session.closed_at or session.last_activity
        return Closed(
            session_id=session_id,
            closed_at=closed_at,
            summary={
                "total_turns": session.turn_count,
                "total_duration_minutes": round((closed_at - session.created_at).total_seconds() / 60, 2),
                "main_topics": list(remember([t.user_message for t in turns]).topics),
            },
            metadata={"user_provided_metadata": request.metadata if request else {}},
        )

    @routes.get("")
    async def of_user(user_id: UserId = Query()) -> SessionList:  # noqa: B008 - how FastAPI declares parameters
        newest, total = await run_in_threadpool(sessions.of_user, user_id)
        listed = [_listed(session) for session in newest]
        active = sum(session.state == "active" for session in listed)
        return SessionList(user_id=user_id, sessions=listed, total_count=total, active_count=active)

    return routes


def _listed(session: Session) -> Listed:
    return Listed(
        session_id=session.session_id,
        persona_id=session.persona,
        turn_count=session.turn_count,
        created_at=session.created_at,
        last_activity=session.last_activity,
        state=session.state,
    )


def _suggestion(context: Context, turn_number: int) -> str | None:
    """What to speak of next, from what was spoken of: the oldest topic, or an end before the last turn."""
    if turn_number >= MOST_TURNS:
        return None
    if turn_number == MOST_TURNS - 1:
        return "One turn is left: shall we sum up?"
    topics = context.memory.topics
    return f"Shall we come back to {topics[0]}?" if len(topics) > 3 else None
