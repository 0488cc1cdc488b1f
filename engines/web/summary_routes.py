"""Running summaries of sessions, and the paths under which the earlier releases were spoken to."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from engines.conversation.memory import summarize, summarize_messages, tokens_of
from engines.conversation.session import StoredTurn
from engines.conversation.sessions import Sessions
from engines.conversation.turns import TurnTaker
from engines.web.callers import caller
from engines.web.conversation_routes import SessionId
from engines.web.conversation_schemas import TurnRequest
from engines.web.problems import documented
from engines.web.schemas import RequestBody, example

_SESSION = "2nN0cZ1qk7yC3wLxq8bVfE5hT9uRjKaM"
_SUMMARY = {
    "session_id": _SESSION,
    "status": "completed",
    "summary": "- U: How do I split this Python service?\n- A: 1. What we know: service, python, split.",
    "turns": 1,
    "tokens": 22,
}
_Words = Annotated[
    str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$", examples=["How do I start?"])
]
_LETTERS = {"user": "U", "assistant": "A"}
_QueriedSession = Annotated[
    str, Query(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$", description="The session to be closed.")
]


class Summary(BaseModel):
    """What was said in a session so far: at most eight bullets and 150 tokens, the oldest left out first."""

    model_config = example(**_SUMMARY)

    session_id: str
    status: str
    summary: str
    turns: int
    tokens: int


class SummaryAnswer(BaseModel):
    """The answer to a message, and the summary of its session with it."""

    model_config = example(
        turn_number=1,
        response_text="1. What we know: service, python, split.",
        summary=_SUMMARY,
        metadata={"user_provided_metadata": {}},
    )

    turn_number: int
    response_text: str
    summary: Summary
    metadata: dict[str, Any]


class ChatEnded(BaseModel):
    """A closed session; ``summary`` is null when it was not asked for."""

    model_config = example(session_id=_SESSION, summary=_SUMMARY)

    session_id: str
    summary: Summary | None


class Said(BaseModel):
    """A message, and who said it."""

    role: Annotated[str, Field(pattern="^(user|assistant)$", examples=["user"])]
    content: _Words


class PreviewRequest(RequestBody):
    """Messages to be summarized as those of a session would be; nothing of it is kept."""

    model_config = example(messages=[{"role": "user", "content": "How do I split this Python service?"}])

    # None of them is answered with 400, not with the 422 of a body that is wrong: there is nothing to summarize.
    messages: Annotated[list[Said], Field(max_length=50, json_schema_extra={"minItems": 1})]


class Preview(BaseModel):
    """A summary of messages."""

    model_config = example(
        summary="- U: How do I split this Python service?", tokens=10, metadata={"user_provided_metadata": {}}
    )

    summary: str
    tokens: int
    metadata: dict[str, Any]


def summary_routes(sessions: Sessions, turns: TurnTaker, *, user_needed: bool = False) -> APIRouter:
    """The routes. A session of another user than ``X-User-Id`` names is not found."""
    routes = APIRouter(tags=["summaries"])
    user = Annotated[str | None, Depends(caller(needed=user_needed))]

    @routes.post("/sessions/{session_id}/messages", responses=documented(403, 404, 409))
    async def say(session_id: SessionId, request: TurnRequest, asking: user) -> SummaryAnswer:
        taken = await turns.take(session_id, asking, request.user_message)
        stored = await sessions.calls.run(sessions.turns, session_id)
        return SummaryAnswer(
            turn_number=taken.turn.number,
            response_text=taken.text.text,
            summary=_summary(session_id, stored[: taken.turn.number]),
            metadata={"user_provided_metadata": request.metadata},
        )

    # Before the summary of any id, which would take "preview" for one.
    @routes.post("/summaries/preview", responses=documented(400))
    async def preview(request: PreviewRequest) -> Preview:
        said = [(_LETTERS[one.role], one.content) for one in request.messages if one.content.strip()]
        if not said:
            raise HTTPException(400, "messages: there is nothing to summarize")
        text = summarize_messages(said)
        return Preview(summary=text, tokens=tokens_of(text), metadata={"user_provided_metadata": request.metadata})

    @routes.get("/summaries/{session_id}", responses=documented(403, 404))
    async def summary(session_id: SessionId, asking: user) -> Summary:
        return _summary(session_id, await sessions.calls.run(_said, sessions, session_id, asking))

    @routes.post("/chat/end", responses=documented(403, 404))
    async def end(
        session_id: _QueriedSession, asking: user, skip_summary: Literal["true", "false"] = "false"
    ) -> ChatEnded:
        stored = await sessions.calls.run(_said, sessions, session_id, asking)
        await sessions.calls.run(sessions.finish, session_id, asking)
        return ChatEnded(
            session_id=session_id, summary=None if skip_summary == "true" else _summary(session_id, stored)
        )

    return routes


def _said(sessions: Sessions, session_id: str, caller: str | None) -> list[StoredTurn]:
    session = sessions.get(session_id, caller)
    return sessions.turns(session_id)[: session.turn_count]


def _summary(session_id: str, turns: list[StoredTurn]) -> Summary:
    text = summarize(turns)
    return Summary(
        session_id=session_id,
        status="completed" if turns else "empty",
        summary=text,
        turns=len(turns),
        tokens=tokens_of(text),
    )
