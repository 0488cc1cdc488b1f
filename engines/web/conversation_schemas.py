"""Bodies of requests and answers about conversations."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from engines.personas import Persona
from engines.web.schemas import Message, RequestBody, UserId, example

_SESSION = "2nN0cZ1qk7yC3wLxq8bVfE5hT9uRjKaM"
_AT, _LATER = "2025-10-22T14:00:00Z", "2025-10-23T14:00:00Z"


class StartOptions(BaseModel):
    """How long a session lives without a turn, and whether it remembers more than the last turns."""

    model_config = ConfigDict(extra="forbid")

    session_ttl_hours: Annotated[float, Field(ge=0.01, le=168, examples=[24])] = 24.0
    use_context_memory: StrictBool = True


class StartRequest(RequestBody):
    """Open a session with a persona."""

    model_config = example(user_id="user-00001", persona_id="Elro", options={"session_ttl_hours": 24})

    user_id: UserId
    persona_id: Persona
    options: StartOptions = StartOptions()


class TurnRequest(RequestBody):
    """Say something in a session."""

    model_config = example(user_message="How do I split this Python service?", metadata={"source": "web"})

    user_message: Message


class CloseRequest(RequestBody):
    """Close a session; without ``save_conversation`` what was said is removed."""

    model_config = example(save_conversation=True)

    save_conversation: StrictBool = True


class Started(BaseModel):
    """An open session."""

    model_config = example(
        session_id=_SESSION,
        user_id="user-00001",
        persona_id="Elro",
        created_at=_AT,
        expires_at=_LATER,
        status="active",
        metadata={"user_provided_metadata": {}},
    )

    session_id: str
    user_id: str
    persona_id: Persona
    created_at: datetime
    expires_at: datetime
    status: str
    metadata: dict[str, Any]


class TurnTaken(BaseModel):
    """A persona's answer; ``context_used`` is what was really used."""

    model_config = example(
        turn_number=2,
        session_id=_SESSION,
        response_text="1. What we know: database. 2. earlier you spoke of service, split. You named Python.",
        context_used="Topics: [service, split]. Entities: [Python]. User preferences: []. Turns: 0.",
        next_suggestion="Shall we come back to service?",
        metadata={"persona_used": "Elro", "text_source": "template", "user_provided_metadata": {"source": "web"}},
    )

    turn_number: int
    session_id: str
    response_text: str
    context_used: str
    next_suggestion: str | None
    metadata: dict[str, Any]


class PastTurn(BaseModel):
    """One turn of a session."""

    turn_id: int
    user_message: str
    ai_response: str
    timestamp: datetime


class ContextMemory(BaseModel):
    """What a session was about, read out of the user's messages."""

    topics: list[str]
    entities: dict[str, list[str]]
    user_preferences: dict[str, Any]


class SessionDetail(BaseModel):
    """A session with its turns and memory."""

    model_config = example(
        session_id=_SESSION,
        user_id="user-00001",
        persona_id="Elro",
        turn_count=1,
        messages=[
            {
                "turn_id": 1,
                "user_message": "How do I split this Python service?",
                "ai_response": "1. What we know: service, python, split. 2. this is where we begin.",
                "timestamp": _AT,
            }
        ],
        context_memory={
            "topics": ["service", "python", "split"],
            "entities": {"technology": ["Python"]},
            "user_preferences": {"tone": "calm", "pace": "flowing"},
        },
        state="active",
        expires_at=_LATER,
    )

    session_id: str
    user_id: str
    persona_id: Persona
    turn_count: int
    messages: list[PastTurn]
    context_memory: ContextMemory
    state: str
    expires_at: datetime


class Closed(BaseModel):
    """A closed session and its summary."""

    model_config = example(
        session_id=_SESSION,
        closed_at=_AT,
        summary={
            "total_turns": 2,
            "total_duration_minutes": 3.5,
            "main_topics": ["service", "python"],
            "user_satisfaction": None,
        },
        metadata={"user_provided_metadata": {}},
    )

    session_id: str
    closed_at: datetime
    summary: dict[str, Any]
    metadata: dict[str, Any]


class Listed(BaseModel):
    """One session of a list."""

    session_id: str
    persona_id: Persona
    turn_count: int
    created_at: datetime
    last_activity: datetime
    state: str


class SessionList(BaseModel):
    """A page of a user's sessions, newest first; the counts are of all pages, ``next_cursor`` is None on the last."""

    model_config = example(
        user_id="user-00001",
        sessions=[
            {
                "session_id": _SESSION,
                "persona_id": "Elro",
                "turn_count": 2,
                "created_at": _AT,
                "last_activity": _AT,
                "state": "active",
            }
        ],
        total_count=1,
        active_count=1,
        next_cursor=None,
    )

    user_id: str
    sessions: list[Listed]
    total_count: int
    active_count: int
    next_cursor: str | None
