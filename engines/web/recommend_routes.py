"""Recommendations: by the ensemble in Phase 4, by the resonance router in Phase 3."""

import secrets
import time
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import structlog
from fastapi import APIRouter, Depends, HTTPException, Query

from engines.faults import Faults
from engines.personas import Persona
from engines.recommendation.bounded import Bounded
from engines.recommendation.ensemble import Feedback, Recommendation
from engines.recommendation.feedback_store import AlreadyRated
from engines.recommendation.receipts import SECRET_BYTES, Receipt, issue, read
from engines.recommendation.training import NotTaught, Training, TrainingInProgress
from engines.resonance_key import ParsedKey, ResonanceKey, parse, parse_parts
from engines.resonance_router import Routing
from engines.text_reading import read_key
from engines.web.callers import caller, check_same_user
from engines.web.measured_router import routed
from engines.web.observability import RECOMMENDATION_LATENCY
from engines.web.problems import documented
from engines.web.schemas import (
    Choice,
    Compared,
    CompareRequest,
    FeedbackRequest,
    FeedbackTaken,
    History,
    Past,
    Ranked,
    Recommended,
    RecommendRequest,
    Taught,
    UserId,
)

_log = structlog.get_logger("ion")

ROUTER_VERSION = "router_v1"

_REMEMBERED_USERS = 2000
_REMEMBERED_EACH = 10


class Made(NamedTuple):
    """A recommendation as it is remembered: a plain tuple, of which there are many."""

    recommendation_id: str
    persona: Persona
    key: ResonanceKey
    model_version: str


@dataclass(frozen=True)
class Recommender:
    """What answers: ``training`` is None in Phase 3. ``history`` holds the last recommendations of recent users."""

    training: Training | None
    secret: bytes
    faults: Faults
    history: Bounded[str, tuple[Made, ...]]

    def recommend(self, user_id: str, query: str, key: ParsedKey) -> Recommendation:
        """A recommendation of this version."""
        if self.faults.constant:
            scores = ((Persona.LUA, 0.82), (Persona.ELRO, 0.7), (Persona.RIRI, 0.65), (Persona.NANA, 0.6))
            return Recommendation(scores, 0.82, dict.fromkeys(Persona, "constant"), False, "constant", "constant")
        if self.training is None:
            return _by_router(routed(key.key))
        with RECOMMENDATION_LATENCY.time():
            return self.training.ensemble.recommend(user_id, query, key.key)

    @property
    def model_version(self) -> str:
        """The model that answers now."""
        return ROUTER_VERSION if self.training is None else self.training.ensemble.model.version

    def remember(self, user_id: str, made: Made) -> None:
        """Keep the last ten recommendations of a user."""
        self.history.put(user_id, (made, *(self.history.get(user_id) or ()))[:_REMEMBERED_EACH])


def recommender(training: Training | None, faults: Faults) -> Recommender:
    """A recommender with an empty history."""
    secret = secrets.token_bytes(SECRET_BYTES) if training is None else training.store.secret
    return Recommender(training, secret, faults, Bounded(_REMEMBERED_USERS))


async def _learn(training: Training, request: FeedbackRequest, made: Receipt) -> None:
    """Keep the feedback, and let it count from the next recommendation on; the same one again changes nothing."""
    rating = (request.rating + 1) / 2
    number = await training.store.calls.run(
        training.store.add, request.recommendation_id, request.user_id, made.persona, made.key, rating
    )
    if number is not None:
        training.ensemble.learn(request.user_id, Feedback(number, made.persona, rating))


def _by_router(routing: Routing) -> Recommendation:
    reasons = {persona: f"suits {routing.key} with {score:.2f}" for persona, score in routing.ranking}
    return Recommendation(routing.ranking, routing.confidence, reasons, False, "resonance_router", ROUTER_VERSION)


def _key_of(request: RecommendRequest) -> ParsedKey:
    if request.resonance_key is not None:
        return parse(request.resonance_key)
    if request.context is not None:
        return parse_parts(request.context.tone, request.context.pace, request.context.intent)
    return ParsedKey(read_key(request.query))


def recommend_routes(source: Recommender, *, user_needed: bool = False) -> APIRouter:
    """The routes of recommendations: of the user whom ``X-User-Id`` names; ``user_needed`` as in conversations."""
    routes = APIRouter(prefix="/api/v2")
    user = Annotated[str | None, Depends(caller(needed=user_needed))]

    @routes.post("/recommend/personalized", responses=documented(403))
    async def personalized(request: RecommendRequest, asking: user) -> Recommended:
        check_same_user(request.user_id, asking)
        started_s, key = time.perf_counter(), _key_of(request)
        found = source.recommend(request.user_id, request.query, key)
        recommendation_id = issue(source.secret, request.user_id, found.primary, key.key)
        source.remember(request.user_id, Made(recommendation_id, found.primary, key.key, found.model_version))
        explanation = f"{found.primary}: {found.reasons[found.primary]}"
        return Recommended(
            recommendation_id=recommendation_id,
            user_id=request.user_id,
            primary_persona=found.primary,
            confidence=found.confidence,
            all_scores=found.scores,
            ranked_recommendations=[
                Ranked(persona=p, score=s, reason=found.reasons[p]) for p, s in found.ranking[: request.options.top_k]
            ],
            explanation=explanation if request.options.include_explanation else None,
            resonance_key=str(key.key),
            metadata={
                "model_version": found.model_version,
                "algorithm": found.algorithm,
                "cold_start": found.cold_start,
                "key_fallbacks": list(key.fallbacks),
                "processing_time_ms": round((time.perf_counter() - started_s) * 1000, 3),
                "user_provided_metadata": request.metadata,
            },
        )

    @routes.post("/recommend/compare", responses=documented(403))
    async def compare(request: CompareRequest, asking: user) -> Compared:
        check_same_user(request.user_id, asking)
        key = ParsedKey(read_key(request.query))
        new, old = source.recommend(request.user_id, request.query, key), routed(key.key)
        legacy = Choice(persona=old.primary, confidence=old.confidence, method="resonance_router")
        comparison: dict[str, Any] = {}
        if request.include_legacy:
            comparison = {
                "consensus": new.primary == old.primary,
                "confidence_difference": round(new.confidence - old.confidence, 6),
            }
        return Compared(
            new_recommendation=Choice(persona=new.primary, confidence=new.confidence, method=new.algorithm),
            legacy_recommendation=legacy if request.include_legacy else None,
            comparison=comparison,
            metadata={
                "resonance_key": str(key.key),
                "model_version": new.model_version,
                "user_provided_metadata": request.metadata,
            },
        )

    @routes.post("/recommend/feedback", responses=documented(403, 404, 409))
    async def feedback(request: FeedbackRequest, asking: user) -> FeedbackTaken:
        check_same_user(request.user_id, asking)
        made = read(source.secret, request.user_id, request.recommendation_id)
        if made is None:
            raise HTTPException(404, "there is no such recommendation of this user")
        if source.training is not None:
            try:
                await _learn(source.training, request, made)
            except AlreadyRated:
                raise HTTPException(409, "this recommendation was rated otherwise before") from None
        return FeedbackTaken(
            recommendation_id=request.recommendation_id,
            persona=made.persona,
            metadata={"model_version": source.model_version, "user_provided_metadata": request.metadata},
        )

    @routes.post("/recommend/train", responses=documented(404, 409))
    async def train() -> Taught:
        if source.training is None:
            raise HTTPException(404, "this release learns nothing")
        try:
            before, model = source.model_version, await source.training.again()
        except TrainingInProgress:
            raise HTTPException(409, "a model is being taught right now") from None
        except NotTaught as error:
            _log.error("a model could not be taught; the one before goes on", exc_info=error)
            raise HTTPException(
                503, "no model could be taught, the one before goes on", {"Retry-After": "60"}
            ) from None
        return Taught(model_version=model.version, previous_version=before, users=len(model.places))

    @routes.get("/recommend/history", responses=documented(403))
    async def history(asking: user, user_id: UserId = Query()) -> History:  # noqa: B008 - how FastAPI declares parameters
        check_same_user(user_id, asking)
        past = [
            Past(
                recommendation_id=made.recommendation_id,
                persona=made.persona,
                resonance_key=str(made.key),
                model_version=made.model_version,
            )
            for made in source.history.get(user_id) or ()
        ]
        return History(user_id=user_id, recommendations=past)

    return routes
