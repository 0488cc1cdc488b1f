"""The ensemble: 0.4 collaborative filtering + 0.4 content + 0.2 persona affinity, each from 0 to 1.

A score is the sum of weighted components, and the reasons are read off the same components: they cannot say anything
else than what was reckoned.
"""

import math
import threading
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from engines.personas import Persona, keyword_shares
from engines.recommendation.bounded import Bounded
from engines.recommendation.model import PERSONAS, SHRINKAGE, Model
from engines.resonance_key import ResonanceKey
from engines.resonance_router import Scores, confidence, ranked, route

ALGORITHM = "cf_40_cb_40_pa_20"
_CF_WEIGHT, _CONTENT_WEIGHT, _AFFINITY_WEIGHT = 0.4, 0.4, 0.2
# Content is what this moment asks for, what the user's moments usually ask for, and likeness among learnt factors.
_MOMENT_SHARE, _USUAL_SHARE, _LIKENESS_SHARE = 0.6, 0.2, 0.2
_KEYWORD_SHARE = 0.3
_REMEMBERED_USERS = 10_000
_REMEMBERED_EACH = 20


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


class Feedback(NamedTuple):
    """A rating from 0 to 1, given after the model was taught; ``number`` tells which model knows it already."""

    number: int
    persona: Persona
    rating: float


class Component(NamedTuple):
    """A weighted part of the scores, and what it says for a persona (by place)."""

    weight: float
    scores: Sequence[float]
    says: Callable[[int], str]

    def lead(self, place: int) -> float:
        """How much this part lifts a persona above the mean of all."""
        return self.weight * (self.scores[place] - sum(self.scores) / len(self.scores))


class Ensemble:
    """Recommends by a model and by feedback given since: the newest 20 of each of the last 10,000 users.

    Safe for several threads. A recommendation is made of one model, with the feedback that this model does not know.
    """

    def __init__(self, model: Model, knows: Set[int] = frozenset()) -> None:
        self._model = model
        self._knows = knows
        self._feedback: Bounded[str, tuple[Feedback, ...]] = Bounded(_REMEMBERED_USERS)
        self._lock = threading.Lock()

    @property
    def model(self) -> Model:
        """The model that the next recommendation is made of."""
        return self._model

    def recommend(self, user_id: str, query: str, key: ResonanceKey) -> Recommendation:
        """Score the personas for a user, a question and its key; a user without a history gets content alone."""
        with self._lock:
            model, feedback = self._model, self._feedback.get(user_id) or ()
        components = components_of(model, feedback, user_id, query, key)
        sums = [sum(part.weight * part.scores[place] for part in components) for place in range(len(PERSONAS))]
        ranking = ranked({persona: round(sums[place], 6) for place, persona in enumerate(PERSONAS)})
        known = feedback or user_id in model.places
        return Recommendation(
            ranking=ranking,
            confidence=confidence(ranking[0][1], ranking[1][1]),
            reasons={persona: reason(components, place) for place, persona in enumerate(PERSONAS)},
            cold_start=not known,
            algorithm=ALGORITHM if known else "content_cold_start",
            model_version=model.version,
        )

    def learn(self, user_id: str, feedback: Feedback) -> None:
        """Take a rating into account from the next recommendation on, unless it or the model knows it already.

        The order in which ratings are told makes no difference: other processes are told in another one.
        """
        with self._lock:
            before = self._feedback.get(user_id) or ()
            # The model knows it if one was taught between storing it and this.
            if feedback.number not in self._knows and feedback not in before:
                self._feedback.put(user_id, tuple(sorted((*before, feedback))[-_REMEMBERED_EACH:]))

    def replace(self, model: Model, knows: Set[int]) -> None:
        """Recommend by another model from now on, which was taught the feedback of these numbers."""
        kept: Bounded[str, tuple[Feedback, ...]] = Bounded(_REMEMBERED_USERS)
        with self._lock:
            for user_id, given in self._feedback.items():
                if newer := tuple(feedback for feedback in given if feedback.number not in knows):
                    kept.put(user_id, newer)
            self._model, self._knows, self._feedback = model, knows, kept


def components_of(
    model: Model, feedback: Sequence[Feedback], user_id: str, query: str, key: ResonanceKey
) -> list[Component]:
    """The parts of a user's scores; their weights sum to 1."""
    place = model.places.get(user_id)
    if place is None and not feedback:
        return _of_the_moment(query, key, 1.0)
    own, counts = _own_ratings(model, place, feedback)
    neighbours = None if place is None else model.neighbours[place].tolist()
    if neighbours is None or math.isnan(neighbours[0]):
        rating_parts = [Component(_CF_WEIGHT + _AFFINITY_WEIGHT, own, _says_own(own, counts))]
    else:
        rating_parts = [
            Component(_CF_WEIGHT, neighbours, lambda p: f"similar users rated it {neighbours[p]:.2f}"),
            Component(_AFFINITY_WEIGHT, own, _says_own(own, counts)),
        ]
    if place is None:
        return [*rating_parts, *_of_the_moment(query, key, _CONTENT_WEIGHT)]
    usual, likeness = model.usual[place].tolist(), model.likeness[place].tolist()
    return [
        *rating_parts,
        *_of_the_moment(query, key, _CONTENT_WEIGHT * _MOMENT_SHARE),
        Component(
            _CONTENT_WEIGHT * _USUAL_SHARE, usual, lambda p: f"it suits the moments you usually have ({usual[p]:.2f})"
        ),
        Component(
            _CONTENT_WEIGHT * _LIKENESS_SHARE, likeness, lambda p: f"it is like what you rated well ({likeness[p]:.2f})"
        ),
    ]


def reason(components: Sequence[Component], place: int) -> str:
    """The one or two parts that lift a persona most above the others, with their values; or that none does."""
    by_lead = sorted(components, key=lambda part: part.lead(place), reverse=True)
    lifting = [part.says(place) for part in by_lead[:2] if part.lead(place) > 0]
    return "; ".join(lifting) or f"nothing speaks more for it than for others: {by_lead[0].says(place)}"


def _of_the_moment(query: str, key: ResonanceKey, weight: float) -> list[Component]:
    """What the key asks for, and the telling words of the question if it has any."""
    scores = route(key).scores
    suits = [scores[persona] for persona in PERSONAS]
    by_key = Component(weight, suits, lambda p: f"it suits {key} ({suits[p]:.2f})")
    words = keyword_shares(query)
    if words is None:
        return [by_key]
    shares = [words[persona] for persona in PERSONAS]
    by_words = Component(weight * _KEYWORD_SHARE, shares, lambda p: f"{shares[p]:.0%} of the telling words ask for it")
    return [by_key._replace(weight=weight * (1 - _KEYWORD_SHARE)), by_words]


def _own_ratings(
    model: Model, place: int | None, feedback: Sequence[Feedback]
) -> tuple[Sequence[float], Sequence[float]]:
    """The user's ratings of the personas and how many they are: what training would give with the feedback, if the
    means of all users stayed the same.
    """
    if place is None:
        ratings, counts = model.means.tolist(), [0.0] * len(PERSONAS)
    else:
        ratings, counts = model.ratings[place].tolist(), model.counts[place].tolist()
    for given in feedback:
        at = PERSONAS.index(given.persona)
        weight = counts[at] + SHRINKAGE
        ratings[at] = (ratings[at] * weight + given.rating) / (weight + 1)
        counts[at] += 1
    return ratings, counts


def _says_own(ratings: Sequence[float], counts: Sequence[float]) -> Callable[[int], str]:
    def says(place: int) -> str:
        if not counts[place]:
            return f"all users rated it {ratings[place]:.2f}, you have not yet"
        times = "once" if counts[place] == 1 else f"{counts[place]:.0f} times"
        return f"you rated it {times}, which makes {ratings[place]:.2f}"

    return says
