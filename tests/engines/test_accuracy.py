"""The ways to choose are compared on interactions that none of them saw."""

import pytest

from engines.accuracy import METHODS, choosers, outcomes, population
from engines.personas import Persona
from engines.resonance_router import route
from engines.synthetic import tastes_of

pytestmark = pytest.mark.phase4


@pytest.fixture(scope="module")
def made():
    return population(7, 300)


def test_the_same_seed_gives_the_same_outcomes_and_another_gives_others():
    first = list(outcomes(7, 300, "best"))
    assert first == list(outcomes(7, 300, "best"))
    assert first != list(outcomes(8, 300, "best"))
    assert first[0] == ("unit", *METHODS)
    assert len(first) == 1 + 300 * 15 // 5


def test_only_the_last_fifth_is_asked_about_and_only_what_came_before_is_taught(made):
    cut = len(made) * 4 // 5
    asked = [row[0] for row in list(outcomes(7, 300, "best"))[1:]]
    assert asked == [one.user_id for one in made[cut:]]


def test_by_ratings_only_interactions_that_were_rated_well_count(made):
    liked = [one for one in made[len(made) * 4 // 5 :] if one.rating >= 0.7]
    rows = list(outcomes(7, 300, "liked"))[1:]
    assert [row[0] for row in rows] == [one.user_id for one in liked]
    right = [route(one.key).primary == one.persona for one in liked]
    assert [row[3] == "1" for row in rows] == right


def test_no_chooser_looks_at_the_answer(made):
    cut = len(made) * 4 // 5
    choose = choosers(made[:cut], 7)
    for one in made[cut : cut + 50]:
        for method in ("popularity", "phase3", "phase4"):
            chosen = choose[method](one)
            assert all(choose[method](one._replace(persona=p, rating=r)) == chosen for p in Persona for r in (0, 1))


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_the_ensemble_beats_router_popularity_and_chance_whatever_the_seed(seed):
    rows = list(outcomes(seed, 600, "best"))[1:]
    right = [sum(row[place] == "1" for row in rows) / len(rows) for place in range(1, 5)]
    assert right[3] > max(right[:3]) + 0.03
    assert 0.2 < right[0] < 0.3


def test_tastes_are_those_that_the_interactions_were_made_of(made):
    """Users whose taste for a persona is strong rated it higher than those who do not like it."""
    taste = tastes_of(7, 300)
    by_taste = {True: [], False: []}
    for one in made:
        liking = taste[int(one.user_id[5:]), list(Persona).index(one.persona)]
        by_taste[bool(liking > 0.5)].append(one.rating)
    high, low = (sum(by_taste[side]) / len(by_taste[side]) for side in (True, False))
    assert high > low + 0.15
