"""Bodies of requests and answers about personas, and of messages answered without a session."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictBool

from engines.personas import Persona
from engines.resonance_key import Intent, Pace, Tone
from engines.web.schemas import Message, Processed, ProcessRequest, RequestBody, UserId, example


class PersonaCard(BaseModel):
    """A persona, and the tones, paces and intents that it suits: those of an affinity of at least 0.8."""

    name: Persona
    role: str
    manner: str
    best_for_tones: list[Tone]
    best_for_paces: list[Pace]
    best_for_intents: list[Intent]


class PersonaCards(BaseModel):
    """All personas, in the order in which ties are broken."""

    personas: list[PersonaCard]


class ScenarioRequest(RequestBody):
    """A scenario in words."""

    model_config = example(scenario="Our team needs a roadmap and a schedule")

    scenario: Message


class ScenarioAnswer(BaseModel):
    """Who suits the words of a scenario; without telling words the resonance router decides."""

    recommended_persona: Persona
    shares: dict[Persona, float]
    method: str
    metadata: dict[str, Any]


class BulkRequest(RequestBody):
    """Up to 100 messages, each answered by itself."""

    model_config = example(requests=[{"user_input": "How do I start?"}, {"user_input": "Which metric matters?"}])

    requests: Annotated[list[ProcessRequest], Field(min_length=1, max_length=100)]


class BulkAnswer(BaseModel):
    """Answers in the order of the requests."""

    results: list[Processed]
    total: int
    metadata: dict[str, Any]


class MultiPersonaRequest(RequestBody):
    """A message that may concern several personas; ``force_multi`` asks for two at least."""

    model_config = example(user_input="The team is stressed and the data show a bug in the design", force_multi=False)

    user_input: Message
    force_multi: StrictBool = False


class MultiPersonaAnswer(BaseModel):
    """What each persona says, and all of it together; ``complexity`` is simple, moderate or complex."""

    content: str
    contributions: dict[Persona, str]
    complexity: str
    resonance_key: str
    metadata: dict[str, Any]


class ChatRequest(RequestBody):
    """A message of a user."""

    model_config = example(message="How do I start?", user_id="user-00001")

    message: Message
    user_id: UserId


class ChatAnswer(BaseModel):
    """A persona's answer."""

    content: str
    persona_used: Persona
    resonance_key: str
    confidence: float
    metadata: dict[str, Any]
