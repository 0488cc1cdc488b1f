"""Bodies of requests and answers about recommendations, and what all bodies have in common."""

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StrictBool

from engines.personas import Persona
from engines.resonance_key import DEFAULT_KEY, validate

_LARGEST_METADATA_BYTES = 20_000

# No control characters: they would forge lines and headers, and PostgreSQL stores no NUL.
UserId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["user-00001"])]
Message = Annotated[
    str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$", examples=["How do I plan the next sprint?"])
]


def _valid_key(text: str) -> str:
    if not validate(text):
        raise ValueError("expected tone-pace-intent, such as calm-medium-learning")
    return text


def _few(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(metadata) > 50:
        raise ValueError("expected at most 50 entries")
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):  # it could not come back equal
        raise ValueError("expected JSON without NaN, infinite numbers and halves of surrogate pairs") from None
    if len(text) > _LARGEST_METADATA_BYTES:
        raise ValueError(f"expected at most {_LARGEST_METADATA_BYTES} bytes")
    return metadata


ExplicitKey = Annotated[
    Annotated[
        str,
        AfterValidator(_valid_key),
        Field(json_schema_extra={"format": "resonance-key"}, examples=[str(DEFAULT_KEY)]),
    ]
    | None,
    Field(description="tone-pace-intent; one that is not valid is refused."),
]
Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(_few),
    Field(max_length=50, description="Comes back as it is in the answer's metadata.", examples=[{"source": "web"}]),
]


class RequestBody(BaseModel):
    """What every request may carry; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")

    metadata: Metadata = Field(default_factory=dict)


class Moment(BaseModel):
    """Parts of a resonance key that the caller knows; what is missing or not known falls back alone."""

    model_config = ConfigDict(extra="forbid")

    tone: str | None = Field(default=None, max_length=40)
    pace: str | None = Field(default=None, max_length=40)
    intent: str | None = Field(default=None, max_length=40)


class Options(BaseModel):
    """How much to answer; without ``use_ml_model`` the resonance router answers, whatever is learnt of the user."""

    top_k: Annotated[int, Field(ge=1, le=4)] = 3
    use_ml_model: StrictBool = True
    include_explanation: StrictBool = True


def example(**values: Any) -> ConfigDict:
    """What the description of a model shows as an example of it."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class RecommendRequest(RequestBody):
    """Who asks what; the moment is given as a key, as parts, or is read out of the question."""

    model_config = example(
        user_id="user-00001",
        query="How do I plan the next sprint?",
        context={"tone": "calm", "pace": "medium", "intent": "planning"},
        options={"top_k": 3},
        metadata={"source": "web"},
    )

    user_id: UserId
    query: Message
    resonance_key: ExplicitKey = None
    context: Moment | None = None
    options: Options = Options()


class CompareRequest(RequestBody):
    """Who asks what."""

    model_config = example(user_id="user-00001", query="How do I fix this bug?", include_legacy=True)

    user_id: UserId
    query: Message
    include_legacy: StrictBool = True


class FeedbackRequest(RequestBody):
    """How the answer to a recommendation was, from -1 to 1."""

    model_config = example(user_id="user-00001", recommendation_id="NdbPDvZArBfI", rating=0.5)

    user_id: UserId
    recommendation_id: Annotated[str, Field(min_length=1, max_length=64)]
    rating: Annotated[float, Field(ge=-1, le=1)]


class ProcessRequest(RequestBody):
    """A message to be answered at once, without a session."""

    model_config = example(user_input="How do I start?", resonance_key="calm-medium-learning")

    user_input: Message
    user_id: UserId = "anonymous"
    resonance_key: ExplicitKey = None
    use_cache: StrictBool = True


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


class Forgotten(BaseModel):
    """How much is gone."""

    model_config = example(forgotten=12)

    forgotten: int


class Processed(BaseModel):
    """An answer without a session; ``performance`` says how long it took and whether it had been kept."""

    success: bool
    content: str
    persona_used: Persona
    resonance_key: str
    confidence: float
    routing: dict[str, Any]
    performance: dict[str, Any]
    metadata: dict[str, Any]
    timestamp: datetime
    request_id: str
