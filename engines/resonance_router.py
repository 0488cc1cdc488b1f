"""The resonance router: which persona a key alone asks for. All of Phase 3, and the basis of comparison in Phase 4."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from engines.affinities import INTENT_AFFINITIES, PACE_AFFINITIES, TONE_AFFINITIES
from engines.personas import Persona
from engines.resonance_key import ALL_KEYS, ResonanceKey

Scores = dict[Persona, float]

_TONE_WEIGHT, _PACE_WEIGHT, _INTENT_WEIGHT = 0.5, 0.3, 0.2
_ORDER = {persona: place for place, persona in enumerate(Persona)}
# Rounded so that equal sums of decimal affinities are equal, and ties are broken by the order and not by the
# last bit of a float.
_DECIMALS = 9


@dataclass(frozen=True)
class Routing:
    """The router's answer: scores from 0 to 1 of all personas, best first in ``ranking``."""

    key: ResonanceKey
    ranking: tuple[tuple[Persona, float], ...]
    confidence: float

    @property
    def primary(self) -> Persona:
        """The persona with the highest score."""
        return self.ranking[0][0]

    @property
    def scores(self) -> Scores:
        """Scores in the order of the personas."""
        found = dict(self.ranking)
        return {persona: found[persona] for persona in Persona}

    @property
    def reasoning(self) -> str:
        """One sentence that says why the first persona is first."""
        (first, best), (second, next_best) = self.ranking[:2]
        return f"{first} suits {self.key} best with {best:.2f}, before {second} with {next_best:.2f}"


@lru_cache(maxsize=len(ALL_KEYS))
def route(key: ResonanceKey) -> Routing:
    """Score the personas by 0.5 tone + 0.3 pace + 0.2 intent, and rank them."""
    rows = (TONE_AFFINITIES[key.tone], PACE_AFFINITIES[key.pace], INTENT_AFFINITIES[key.intent])
    scores = {
        persona: round(
            _TONE_WEIGHT * rows[0][place] + _PACE_WEIGHT * rows[1][place] + _INTENT_WEIGHT * rows[2][place], _DECIMALS
        )
        for persona, place in _ORDER.items()
    }
    ranking = ranked(scores)
    return Routing(key, ranking, confidence(ranking[0][1], ranking[1][1]))


def ranked(scores: Mapping[Persona, float]) -> tuple[tuple[Persona, float], ...]:
    """Best first; ties in the order Lua, Elro, Riri, Nana."""
    return tuple(sorted(scores.items(), key=lambda item: (-item[1], _ORDER[item[0]])))


def confidence(first: float, second: float) -> float:
    """0.3 margin + 0.7 top score, kept within 0 to 1."""
    return round(min(1.0, max(0.0, 0.3 * (first - second) + 0.7 * first)), _DECIMALS)
