"""The ensemble: 0.4 collaborative filtering + 0.4 content + 0.2 persona affinity, each from 0 to 1."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.affinities import INTENT_AFFINITIES, PACE_AFFINITIES, TONE_AFFINITIES
from engines.personas import Persona, keyword_shares
from engines.recommendation.bounded import Bounded
from engines.recommendation.model import PERSONAS, Model
from engines.resonance_key import Intent, Pace, ResonanceKey, Tone
from engines.resonance_router import Scores, confidence, ranked, route

Floats = NDArray[np.float64]

ALGORITHM = "cf_40_cb_40_pa_20"
_CF_WEIGHT, _CONTENT_WEIGHT, _AFFINITY_WEIGHT = 0.4, 0.4, 0.2
_MOMENT_WEIGHT = 0.6
_KEYWORD_WEIGHT = 0.3
_PRIOR_FEEDBACKS = 3.0
_REMEMBERED_USERS = 10_000

_AFFINITIES = np.array(
    [
        *(TONE_AFFINITIES[tone] for tone in Tone),
        *(PACE_AFFINITIES[pace] for pace in Pace),
        *(INTENT_AFFINITIES[intent] for intent in Intent),
    ]
)
_PART_WEIGHTS = np.array([0.5] * len(Tone) + [0.3] * len(Pace) + [0.2] * len(Intent))


@dataclass(frozen=True)
class Recommendation:
    """Scores of all personas, ranked, and why."""

    ranking: tuple[tuple[Persona, float], ...]
    confidence: float
    reasons: dict[Persona, str]
    cold_start: bool
    algorithm: str
    model_version: str

    @property
    def primary(self) -> Persona:
        """The persona that is recommended."""
        return self.ranking[0][0]

    @property
    def scores(self) -> Scores:
        """Scores in the order of the personas."""
        found = dict(self.ranking)
        return {persona: found[persona] for persona in Persona}


class Ensemble:
    """Recommends by a model and by feedback given since; feedback is remembered for the last 10,000 users."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._feedback: Bounded[str, tuple[Floats, Floats]] = Bounded(_REMEMBERED_USERS)

    def recommend(self, user_id: str, query: str, key: ResonanceKey) -> Recommendation:
        """Score the personas for a user, a question and its key; a user without a history gets content alone."""
        content = _content(query, key, self._shares_of_parts(user_id))
        own = self._own_ratings(user_id)
        neighbours = self.model.neighbours_ratings(user_id)
        if own is None:
            return self._answer({"content": content}, content, key, cold_start=True)
        if neighbours is None:
            neighbours = own
        mixed = _CF_WEIGHT * neighbours + _CONTENT_WEIGHT * content + _AFFINITY_WEIGHT * own
        parts = {"content": content, "similar users": neighbours, "your own ratings": own}
        return self._answer(parts, mixed, key, cold_start=False)

    def learn(self, user_id: str, persona: Persona, rating: float) -> None:
        """Take a rating from 0 to 1 into account from the next recommendation on."""
        sums, counts = self._feedback.get(user_id) or (np.zeros(len(PERSONAS)), np.zeros(len(PERSONAS)))
        place = PERSONAS.index(persona)
        sums, counts = sums.copy(), counts.copy()
        sums[place] += rating
        counts[place] += 1
        self._feedback.put(user_id, (sums, counts))

    def _own_ratings(self, user_id: str) -> Floats | None:
        """The user's ratings of the personas, from history and feedback; None when there is neither."""
        place = self.model.places.get(user_id)
        feedback = self._feedback.get(user_id)
        if place is None and feedback is None:
            return None
        before = self.model.means if place is None else self.model.ratings[place]
        if feedback is None:
            return before
        sums, counts = feedback
        ratings: Floats = (sums + _PRIOR_FEEDBACKS * before) / (counts + _PRIOR_FEEDBACKS)
        return ratings

    def _shares_of_parts(self, user_id: str) -> Floats | None:
        place = self.model.places.get(user_id)
        return None if place is None else self.model.parts[place]

    def _answer(
        self, parts: dict[str, Floats], scores: Floats, key: ResonanceKey, *, cold_start: bool
    ) -> Recommendation:
        ranking = ranked({persona: round(float(scores[i]), 6) for i, persona in enumerate(PERSONAS)})
        return Recommendation(
            ranking=ranking,
            confidence=confidence(ranking[0][1], ranking[1][1]),
            reasons={persona: _reason(parts, i, key) for i, persona in enumerate(PERSONAS)},
            cold_start=cold_start,
            algorithm="content_cold_start" if cold_start else ALGORITHM,
            model_version=self.model.version,
        )


def _content(query: str, key: ResonanceKey, shares_of_parts: Floats | None) -> Floats:
    """0.6 the moment (key and telling words) + 0.4 what the user's moments usually were."""
    scores = route(key).scores
    moment = np.array([scores[persona] for persona in PERSONAS])
    if words := keyword_shares(query):
        telling = np.array([words[persona] for persona in PERSONAS])
        moment = (1 - _KEYWORD_WEIGHT) * moment + _KEYWORD_WEIGHT * telling
    if shares_of_parts is None:
        result: Floats = moment
        return result
    usual = (shares_of_parts * _PART_WEIGHTS) @ _AFFINITIES
    mixed: Floats = _MOMENT_WEIGHT * moment + (1 - _MOMENT_WEIGHT) * usual
    return mixed


def _reason(parts: dict[str, Floats], persona: int, key: ResonanceKey) -> str:
    """What speaks most for a persona, against the mean of all: the real reason, not a phrase."""
    name = max(parts, key=lambda part: float(parts[part][persona] - parts[part].mean()))
    value = float(parts[name][persona])
    if name == "content":
        return f"suits {key} and the words of the question ({value:.2f})"
    return f"rated {value:.2f} by similar users" if name == "similar users" else f"you rated it {value:.2f}"
