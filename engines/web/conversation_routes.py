"""Conversations of several turns: what Phase 4 adds."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from engines.conversation.memory import remember
from engines.conversation.session import Session
from engines.conversation.sessions import MOST_LISTED, Sessions
from engines.conversation.turns import Taken, TurnTaker
from engines.resonance_key import ResonanceKey
from engines.text_reading import read_key
from engines.web.callers import caller, check_same_user
from engines.web.conversation_schemas import (
    Closed,
    CloseRequest,
    ContextMemory,
    Listed,
    PastTurn,
    SessionDetail,
    SessionList,
    Started,
    StartRequest,
    TurnRequest,
    TurnTaken,
)
from engines.web.observability import CHAT_DURATION, CHATS, MULTITURN_LATENCY, TEXTS
from engines.web.problems import documented
from engines.web.schemas import UserId

SessionId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Cursor = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        description="The next_cursor of the page before.",
        json_schema_extra={"format": "cursor"},
    ),
]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED)]


def conversation_routes(sessions: Sessions, turns: TurnTaker, *, user_needed: bool = False) -> APIRouter:
    """The routes of conversations. A session of another user than ``X-User-Id`` names is not found.

    With ``user_needed`` a request that names no user is refused.
    """

    routes = APIRouter(prefix="/api/v2/conversations", responses=documented(403))
    user = Annotated[str | None, Depends(caller(needed=user_needed))]

    @routes.post("/start")
    async def start(request: StartRequest, asking: user) -> Started:
        check_same_user(request.user_id, asking)
        session = await sessions.calls.run(
            sessions.start,
            request.user_id,
            request.persona_id,
            request.options.session_ttl_hours,
            uses_memory=request.options.use_context_memory,
        )
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
    async def turn(session_id: SessionId, request: TurnRequest, asking: user) -> TurnTaken:
        started_s = time.perf_counter()
        with MULTITURN_LATENCY.time():
            taken = await turns.take(session_id, asking, request.user_message)
        duration_s, key = time.perf_counter() - started_s, read_key(request.user_message)
        _count(taken, key, duration_s)
        return TurnTaken(
            turn_number=taken.turn.number,
            session_id=session_id,
            response_text=taken.text.text,
            context_used=str(taken.text.used),
            next_suggestion=taken.next_suggestion,
            metadata={
                "persona_used": taken.session.persona,
                "resonance_key": str(key),
                "text_source": taken.text.source,
                "text_source_reason": taken.text.why,
                "tokens_used": taken.tokens,
                "processing_time_ms": round(duration_s * 1000, 3),
                "user_provided_metadata": request.metadata,
            },
        )

    @routes.get("/{session_id}", responses=documented(404))
    async def get(session_id: SessionId, asking: user) -> SessionDetail:
        session = await sessions.calls.run(sessions.get, session_id, asking)
        stored = await sessions.calls.run(sessions.turns, session_id)
        memory = remember([t.user_message for t in stored])
        return SessionDetail(
            session_id=session_id,
            user_id=session.user_id,
            persona_id=session.persona,
            turn_count=session.turn_count,
            messages=[
                PastTurn(turn_id=t.number, user_message=t.user_message, ai_response=t.response_text, timestamp=t.at)
                for t in stored[: session.turn_count]
            ],
            context_memory=ContextMemory(
                topics=list(memory.topics),
                entities={category: list(names) for category, names in memory.entities.items()},
                user_preferences=memory.preferences,
            ),
            state=session.state,
            expires_at=session.expires_at,
        )

    @routes.post("/{session_id}/close", responses=documented(404))
    async def close(session_id: SessionId, asking: user, request: CloseRequest | None = None) -> Closed:
        request = request or CloseRequest()
        await sessions.calls.run(sessions.get, session_id, asking)
        stored = await sessions.calls.run(sessions.turns, session_id)
        session = await sessions.calls.run(sessions.finish, session_id, asking, keep_turns=request.save_conversation)
        closed_at = session.closed_at or session.last_activity
        return Closed(
            session_id=session_id,
            closed_at=closed_at,
            summary={
                "total_turns": session.turn_count,
                "total_duration_minutes": round((closed_at - session.created_at).total_seconds() / 60, 2),
                "main_topics": list(remember([t.user_message for t in stored]).topics),
                "user_satisfaction": None,
            },
            metadata={"user_provided_metadata": request.metadata},
        )

    @routes.get("")
    async def of_user(
        asking: user,
        user_id: UserId = Query(),  # noqa: B008 - how FastAPI declares parameters
        limit: Limit = MOST_LISTED,
        cursor: Cursor = None,
    ) -> SessionList:
        check_same_user(user_id, asking)
        page = await sessions.calls.run(sessions.of_user, user_id, limit, cursor)
        return SessionList(
            user_id=user_id,
            sessions=[_listed(session) for session in page.sessions],
            total_count=page.total,
            active_count=page.active,
            next_cursor=page.following,
        )

    return routes


def _count(taken: Taken, key: ResonanceKey, duration_s: float) -> None:
    CHATS.labels(taken.session.persona, str(key)).inc()
    CHAT_DURATION.labels(taken.session.persona).observe(duration_s)
    TEXTS.labels(taken.text.source, taken.text.why).inc()


def _listed(session: Session) -> Listed:
    return Listed(
        session_id=session.session_id,
        persona_id=session.persona,
        turn_count=session.turn_count,
        created_at=session.created_at,
        last_activity=session.last_activity,
        state=session.state,
    )
