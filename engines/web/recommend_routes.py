"""Recommendations: by the ensemble in Phase 4, by the resonance router in Phase 3."""

import time
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, HTTPException, Query

from engines.canary.answers import By
from engines.experiments.metrics import ACCURACY, accepted
from engines.faults import Faults
from engines.personas import Persona
from engines.recommendation.ensemble import Feedback, Recommendation
from engines.recommendation.feedback_store import AlreadyRated
from engines.recommendation.receipts import Receipt, issue, read
from engines.recommendation.training import NotTaught, Training, TrainingInProgress
from engines.resonance_key import ParsedKey, parse, parse_parts
from engines.resonance_router import Routing
from engines.shared import Shared
from engines.switches import Arm
from engines.text_reading import read_key
from engines.web.callers import caller, check_same_user
from engines.web.measured_router import routed
from engines.web.observability import RECOMMENDATION_LATENCY, RECOMMENDATIONS, answered_by
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


@dataclass(frozen=True)
class Recommender:
    """What answers: ``training`` is None in Phase 3. ``secret`` proves what was recommended to whom."""

    training: Training | None
    secret: bytes
    faults: Faults
    shared: Shared

    def recommend(self, user_id: str, query: str, key: ParsedKey) -> Recommendation:
        """A recommendation by what answers this user."""
        if not self.shared.switches.now.by_ensemble(user_id):
            return _by_router(routed(key.key))
        return self.best(user_id, query, key)

    def best(self, user_id: str, query: str, key: ParsedKey) -> Recommendation:
        """What the best method of this release says, whichever answers the user."""
        if self.faults.constant:
            scores = ((Persona.LUA, 0.82), (Persona.ELRO, 0.7), (Persona.RIRI, 0.65), (Persona.NANA, 0.6))
            return Recommendation(scores, 0.82, dict.fromkeys(Persona, "constant"), False, "constant", "constant")
        if self.training is None:
            return _by_router(routed(key.key))
        with RECOMMENDATION_LATENCY.time():
            return self.training.ensemble.recommend(user_id, query, key.key)

    def arm(self, user_id: str) -> Arm | None:
        """The user's arm of the experiment; this release has to have both ways to answer."""
        return None if self.training is None else self.shared.switches.now.arm(user_id)

    @property
    def model_version(self) -> str:
        """The model that answers now."""
        return ROUTER_VERSION if self.training is None else self.training.ensemble.model.version


def _take(source: Recommender, request: FeedbackRequest, made: Receipt) -> None:
    """Keep the feedback, and let it count from the next recommendation on; the same one again changes nothing.

    Blocks. Whether the recommendation was accepted is the user's outcome, in both releases.
    """
    rating, user_id = (request.rating + 1) / 2, request.user_id
    if source.training is not None:
        number = source.training.store.add(request.recommendation_id, user_id, made.persona, made.key, rating)
        if number is not None:
            source.training.ensemble.learn(user_id, Feedback(number, made.persona, rating))
    arm = source.arm(user_id)
    source.shared.outcomes.record(ACCURACY.name, user_id, accepted(rating), arm, request.recommendation_id)


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
        learnt = request.options.use_ml_model
        found = source.recommend(request.user_id, request.query, key) if learnt else _by_router(routed(key.key))
        recommendation_id = issue(source.secret, request.user_id, found.primary, key.key)
        by = By.LEGACY if found.model_version == ROUTER_VERSION else By.CANARY
        answered_by.set(by)
        RECOMMENDATIONS.labels(by).inc()
        source.shared.history.add(request.user_id, recommendation_id, found.primary, key.key, found.model_version)
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
                "ab_group": source.arm(request.user_id),
                "key_fallbacks": list(key.fallbacks),
                "processing_time_ms": round((time.perf_counter() - started_s) * 1000, 3),
                "user_provided_metadata": request.metadata,
            },
        )

    @routes.post("/recommend/compare", responses=documented(403))
    async def compare(request: CompareRequest, asking: user) -> Compared:
        check_same_user(request.user_id, asking)
        key = ParsedKey(read_key(request.query))
        new, old = source.best(request.user_id, request.query, key), routed(key.key)
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
        try:
            await source.shared.calls.run(_take, source, request, made)
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
            for made in await source.shared.calls.run(source.shared.history.of_user, user_id)
        ]
        return History(user_id=user_id, recommendations=past)

    return routes
