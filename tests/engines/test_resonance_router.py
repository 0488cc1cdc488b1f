from collections import Counter

import pytest

from engines.personas import Persona, keyword_shares
from engines.resonance_key import ALL_KEYS, parse
from engines.resonance_router import confidence, route

GOLDEN = [
    ("frustrated-burst-seek_advice", {"Lua": 1.0, "Elro": 0.44, "Riri": 0.59, "Nana": 0.59}, 0.823),
    ("calm-medium-learning", {"Elro": 1.0, "Riri": 0.98}, 0.706),
    ("analytical-contemplative-validation", {"Riri": 1.0, "Elro": 0.85}, 0.745),
    ("collaborative-medium-planning", {"Nana": 1.0, "Riri": 0.83}, 0.751),
    ("urgent-burst-problem_solving", {"Nana": 0.84, "Elro": 0.72}, 0.624),
]


@pytest.mark.parametrize(("text", "scores", "expected"), GOLDEN)
def test_golden_vectors(text, scores, expected):
    routing = route(parse(text).key)
    assert routing.primary == next(iter(scores))
    for persona, score in scores.items():
        assert routing.scores[Persona(persona)] == pytest.approx(score)
    assert routing.confidence == pytest.approx(expected)


def test_over_all_keys_each_persona_is_first_as_often_as_counted_by_hand():
    first = Counter(route(key).primary.value for key in ALL_KEYS)
    assert first == {"Lua": 83, "Nana": 66, "Riri": 52, "Elro": 15}


def test_seven_keys_tie_and_the_order_of_the_personas_breaks_them():
    tied = [route(key).ranking for key in ALL_KEYS if route(key).ranking[0][1] == route(key).ranking[1][1]]
    assert len(tied) == 7
    order = list(Persona)
    assert all(order.index(ranking[0][0]) < order.index(ranking[1][0]) for ranking in tied)


def test_confidence_lies_within_the_known_range():
    found = [route(key).confidence for key in ALL_KEYS]
    assert min(found) == pytest.approx(0.546, abs=1e-3)
    assert max(found) == pytest.approx(0.823, abs=1e-3)
    assert confidence(0.8, 0.6) == pytest.approx(0.62)


def test_scores_are_within_0_and_1_and_reasoning_names_the_first_two():
    for key in ALL_KEYS:
        routing = route(key)
        assert all(0 <= score <= 1 for score in routing.scores.values())
        assert routing.ranking[0][0] in routing.reasoning
        assert routing.ranking[1][0] in routing.reasoning


def test_telling_words_point_to_a_persona_and_others_to_none():
    shares = keyword_shares("Our team needs a schedule for the meeting")
    assert max(shares, key=shares.get) == Persona.NANA
    assert sum(shares.values()) == pytest.approx(1)
    assert keyword_shares("hello there") is None
