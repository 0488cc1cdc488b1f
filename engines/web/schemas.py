"""Bodies of requests and answers."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from engines.personas import Persona
from engines.resonance_key import validate

UserId = Annotated[str, Field(min_length=1, max_length=128)]
Message = Annotated[str, Field(min_length=1, max_length=1000)]


def _valid_key(text: str | None) -> str | None:
    if text is not None and not validate(text):
        raise ValueError("expected tone-pace-intent, such as calm-medium-learning")
    return text


def _few(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(metadata) > 50:
        raise ValueError("expected at most 50 entries")
    return metadata


ExplicitKey = Annotated[str | None, AfterValidator(_valid_key)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_few)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    metadata: Metadata = Field(default_factory=dict)


class Moment(BaseModel):
    """Parts of a resonance key that the caller knows; what is missing or not known falls back alone."""

    tone: str | None = Field(default=None, max_length=40)
    pace: str | None = Field(default=None, max_length=40)
    intent: str | None = Field(default=None, max_length=40)


class Options(BaseModel):
    """How much to answer."""

    top_k: Annotated[int, Field(ge=1, le=4)] = 3
    include_explanation: bool = True


class RecommendRequest(_Request):
    """Who asks what; the moment is given as a key, as parts, or is read out of the question."""

    user_id: UserId
    query: Message
    resonance_key: ExplicitKey = None
    context: Moment | None = None
    options: Options = Options()


class CompareRequest(_Request):
    """Who asks what."""

    user_id: UserId
    query: Message
    include_legacy: bool = True


class FeedbackRequest(_Request):
    """How the answer to a recommendation was, from -1 to 1."""

    user_id: UserId
    recommendation_id: Annotated[str, Field(min_length=1, max_length=64)]
    rating: Annotated[float, Field(ge=-1, le=1)]


class ProcessRequest(_Request):
    """A message to be answered at once, without a session."""

    user_input: Message
    user_id: UserId = "anonymous"
    resonance_key: ExplicitKey = None


class StartOptions(BaseModel):
    """How long a session lives without a turn."""

    session_ttl_hours: Annotated[float, Field(gt=0, le=168)] = 24.0


class StartRequest(_Request):
    """Open a session with a persona."""

    user_id: UserId
    persona_id: Persona
    options: StartOptions = StartOptions()


class TurnRequest(_Request):
    """Say something in a session."""

    user_message: Message


class CloseRequest(_Request):
    """Close a session."""


class Ranked(BaseModel):
    """One persona in the ranking, and the real reason for its place."""

    persona: Persona
    score: float
    reason: str


class Recommended(BaseModel):
    """A recommendation."""

    recommendation_id: str
    user_id: str
    primary_persona: Persona
    confidence: float
    all_scores: dict[Persona, float]
    ranked_recommendations: list[Ranked]
    explanation: str | None
    resonance_key: str
    metadata: dict[str, Any]


class Choice(BaseModel):
    """One version's answer in a comparison."""

    persona: Persona
    confidence: float
    method: str


class Compared(BaseModel):
    """The ensemble beside the router."""

    new_recommendation: Choice
    legacy_recommendation: Choice | None
    comparison: dict[str, Any]
    metadata: dict[str, Any]


class FeedbackTaken(BaseModel):
    """Feedback was taken into account."""

    recommendation_id: str
    persona: Persona
    metadata: dict[str, Any]


class Taught(BaseModel):
    """The model that answers from now on, and the one before: the same when there was nothing new to learn."""

    model_version: str
    previous_version: str
    users: int


class Past(BaseModel):
    """A past recommendation, and the model that made it."""

    recommendation_id: str
    persona: Persona
    resonance_key: str
    model_version: str


class History(BaseModel):
    """The last recommendations of a user, newest first."""

    user_id: str
    recommendations: list[Past]


class Processed(BaseModel):
    """An answer without a session."""

    content: str
    persona_used: Persona
    resonance_key: str
    confidence: float
    routing: dict[str, Any]
    metadata: dict[str, Any]


class Started(BaseModel):
    """An open session."""

    session_id: str
    user_id: str
    persona_id: Persona
    created_at: datetime
    expires_at: datetime
    status: str
    metadata: dict[str, Any]


class TurnTaken(BaseModel):
    """A persona's answer; ``context_used`` is what was really used."""

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


class SessionDetail(BaseModel):
    """A session with its turns and memory."""

    session_id: str
    user_id: str
    persona_id: Persona
    turn_count: int
    messages: list[PastTurn]
    context_memory: dict[str, Any]
    state: str
    expires_at: datetime


class Closed(BaseModel):
    """A closed session and its summary."""

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
    """The newest 100 sessions of a user."""

    user_id: str
    sessions: list[Listed]
    total_count: int
    active_count: int


class Health(BaseModel):
    """Whether the service lives, and whether it may be given traffic."""

    status: str
    version: str
    components: dict[str, str]
