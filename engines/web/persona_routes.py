"""Personas, and messages answered at once: what both releases have had since Phase 3."""

import asyncio
import time
from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException

from engines.affinities import INTENT_AFFINITIES, PACE_AFFINITIES, TONE_AFFINITIES
from engines.answer_cache import AnswerCache, Answered
from engines.conversation.memory import context_of
from engines.conversation.templates import template
from engines.personas import CHARACTERS, Persona, keyword_shares
from engines.resonance_key import parse
from engines.resonance_router import Routing
from engines.text_reading import read_key
from engines.web.measured_router import routed
from engines.web.observability import CACHE_LOOKUPS, request_id
from engines.web.persona_schemas import (
    BulkAnswer,
    BulkRequest,
    ChatAnswer,
    ChatRequest,
    MultiPersonaAnswer,
    MultiPersonaRequest,
    PersonaCard,
    PersonaCards,
    ScenarioAnswer,
    ScenarioRequest,
)
from engines.web.problems import documented
from engines.web.schemas import Processed, ProcessRequest

_SUITS = 0.8
_MOST_PERSONAS = 3
_COMPLEXITY = {1: "simple", 2: "moderate", 3: "complex"}


def persona_routes(cache: AnswerCache) -> APIRouter:
    """The routes; nothing of them needs a model, a session or a database."""
    routes = APIRouter(prefix="/api/v2")

    @routes.get("/personas")
    async def personas() -> PersonaCards:
        return PersonaCards(personas=[_card(persona) for persona in Persona])

    @routes.get("/personas/{name}", responses=documented(404))
    async def persona(name: str) -> PersonaCard:
        known = {persona.value.lower(): persona for persona in Persona}
        if name.lower() not in known:
            raise HTTPException(404, "there is no such persona")
        return _card(known[name.lower()])

    @routes.post("/recommend")
    async def scenario(request: ScenarioRequest) -> ScenarioAnswer:
        shares = keyword_shares(request.scenario)
        method = "keywords" if shares else "resonance_router"
        shares = shares or routed(read_key(request.scenario)).scores
        return ScenarioAnswer(
            recommended_persona=max(shares, key=lambda persona: shares[persona]),
            shares=shares,
            method=method,
            metadata={"user_provided_metadata": request.metadata},
        )

    @routes.post("/process")
    async def process(request: ProcessRequest) -> Processed:
        return _processed(request, cache)

    @routes.post("/bulk-process")
    async def bulk(request: BulkRequest) -> BulkAnswer:
        results = []
        for one in request.requests:
            results.append(_processed(one, cache))
            await asyncio.sleep(0)  # a hundred long messages take 0.2 s: others are answered in between
        return BulkAnswer(
            results=results,
            total=len(request.requests),
            metadata={"user_provided_metadata": request.metadata},
        )

    @routes.post("/chat/multi-persona")
    async def multi_persona(request: MultiPersonaRequest) -> MultiPersonaAnswer:
        key = read_key(request.user_input)
        chosen = _concerned(request.user_input, routed(key), at_least=2 if request.force_multi else 1)
        said = {persona: _text(persona, request.user_input) for persona in chosen}
        return MultiPersonaAnswer(
            content="\n\n".join(f"{persona}: {text}" for persona, text in said.items()),
            contributions=said,
            complexity=_COMPLEXITY[len(said)],
            resonance_key=str(key),
            metadata={"text_source": "template", "user_provided_metadata": request.metadata},
        )

    @routes.post("/chat")
    async def chat(request: ChatRequest) -> ChatAnswer:
        return _chatted(request, cache)

    return routes


def root_chat_routes(cache: AnswerCache) -> APIRouter:
    """``/chat`` under the path that it had before there were versions of the API."""
    routes = APIRouter()

    @routes.post("/chat")
    async def chat(request: ChatRequest) -> ChatAnswer:
        return _chatted(request, cache)

    return routes


def _card(persona: Persona) -> PersonaCard:
    place = list(Persona).index(persona)
    return PersonaCard(
        name=persona,
        role=CHARACTERS[persona].role,
        manner=CHARACTERS[persona].manner,
        best_for_tones=[tone for tone, row in TONE_AFFINITIES.items() if row[place] >= _SUITS],
        best_for_paces=[pace for pace, row in PACE_AFFINITIES.items() if row[place] >= _SUITS],
        best_for_intents=[intent for intent, row in INTENT_AFFINITIES.items() if row[place] >= _SUITS],
    )


def _concerned(message: str, routing: Routing, at_least: int) -> list[Persona]:
    """The three personas at most whose telling words the message holds most of; the router's best where too few."""
    shares = keyword_shares(message) or {}
    named = sorted((p for p in shares if shares[p] > 0), key=lambda p: -shares[p])[:_MOST_PERSONAS]
    others = [persona for persona, _ in routing.ranking if persona not in named]
    return [*named, *others[: max(0, at_least - len(named))]]


def _processed(request: ProcessRequest, cache: AnswerCache) -> Processed:
    started_s = time.perf_counter()
    answered, hit = _answered(request.user_input, request.resonance_key, cache if request.use_cache else None)
    routing = answered.routing
    return Processed(
        success=True,
        content=answered.text,
        persona_used=routing.primary,
        resonance_key=str(routing.key),
        confidence=routing.confidence,
        routing={
            "primary": routing.primary,
            "secondary": routing.ranking[1][0],
            "confidence": routing.confidence,
            "scores": routing.scores,
            "reasoning": routing.reasoning,
        },
        performance={
            "execution_time_ms": round((time.perf_counter() - started_s) * 1000, 3),
            "cache_hit": hit,
            "cache_key": answered.name,
        },
        metadata={"text_source": "template", "user_provided_metadata": request.metadata},
        timestamp=datetime.now(UTC),
        request_id=request_id.get(),
    )


def _chatted(request: ChatRequest, cache: AnswerCache) -> ChatAnswer:
    answered, hit = _answered(request.message, None, cache)
    routing = answered.routing
    return ChatAnswer(
        content=answered.text,
        persona_used=routing.primary,
        resonance_key=str(routing.key),
        confidence=routing.confidence,
        metadata={
            "text_source": "template",
            "cache_hit": hit,
            "routing": {"secondary_persona": routing.ranking[1][0], "reasoning": routing.reasoning},
            "user_provided_metadata": request.metadata,
        },
    )


def _answered(message: str, explicit_key: str | None, cache: AnswerCache | None) -> tuple[Answered, bool]:
    def make() -> Answered:
        routing = routed(parse(explicit_key).key if explicit_key else read_key(message))
        return Answered(routing, _text(routing.primary, message))

    if cache is None:
        return make(), False
    answered, hit = cache.get(message, explicit_key, make)
    CACHE_LOOKUPS.labels("hit" if hit else "miss").inc()
    return answered, hit


def _text(persona: Persona, message: str) -> str:
    return template(persona, context_of((), message), message)
