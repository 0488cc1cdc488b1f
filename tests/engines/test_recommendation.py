"""The ensemble: it learns users, explains itself, and beats the router on users held out."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.personas import Persona
from engines.recommendation.bounded import Bounded
from engines.recommendation.ensemble import ALGORITHM, Ensemble, Feedback, components_of, reason
from engines.recommendation.interactions import Interaction, read_interactions
from engines.recommendation.model import FACTORS, PERSONAS, train
from engines.resonance_key import ALL_KEYS, parse
from engines.resonance_router import route

pytestmark = pytest.mark.phase4

DATA = Path(__file__).resolve().parents[2] / "releases" / "ion-phase4" / "data" / "interactions.csv"
KEY = parse("calm-medium-planning").key
INTERACTIONS = read_interactions(DATA)
MODEL = train(INTERACTIONS)

users = st.one_of(st.sampled_from(list(MODEL.places)), st.just("nobody"))
queries = st.sampled_from(["hello", "Our team needs a schedule", "measure the data and fix the code", ""])
feedbacks = st.lists(
    st.builds(Feedback, st.integers(1), st.sampled_from(PERSONAS), st.floats(0, 1)),
    max_size=5,
    unique_by=lambda feedback: feedback.number,
)


@pytest.fixture(scope="module")
def interactions():
    return INTERACTIONS


@pytest.fixture(scope="module")
def model():
    return MODEL


def test_the_same_interactions_give_the_same_model_and_version_and_others_another(interactions, model):
    again = train(interactions)
    assert np.allclose(np.abs(again.factors), np.abs(model.factors))
    assert np.allclose(again.neighbours, model.neighbours, equal_nan=True)
    assert np.array_equal(again.ratings, model.ratings)
    assert again.version == model.version
    assert train([*interactions[1:], interactions[0]._replace(rating=0.0)]).version != model.version


def test_users_and_items_have_ten_factors_and_scores_are_within_range(model):
    assert model.factors.shape == (len(model.places), FACTORS)
    assert model.item_factors.shape == (4 * 19, FACTORS)
    for scores in (model.ratings, model.neighbours, model.usual, model.likeness):
        assert np.nanmin(scores) >= 0
        assert np.nanmax(scores) <= 1


def test_counts_are_those_of_the_interactions(interactions, model):
    assert model.counts.sum() == len(interactions)
    place = model.places["user-00001"]
    mine = [i for i in interactions if i.user_id == "user-00001"]
    assert model.counts[place].tolist() == [sum(i.persona == persona for i in mine) for persona in PERSONAS]


def test_neighbours_are_the_five_nearest_others_and_their_ratings_count_by_similarity(model):
    similarity = model.factors @ model.factors[7]
    similarity[7] = -1
    nearest = np.argsort(similarity)[-5:]
    weights = similarity[nearest]
    counts = model.counts[nearest]
    sums = (model.ratings[nearest] - model.means) * (counts + 3)
    expected = model.means + weights @ sums / (weights @ counts + 3)
    assert model.neighbours[7] == pytest.approx(expected)


def test_users_that_are_alike_in_everything_do_not_count_themselves():
    rows = [
        Interaction(f"u{user}", persona, key, 0.9 if persona == Persona.LUA else 0.1)
        for user in range(20)
        for persona in PERSONAS
        for key in ALL_KEYS[:: 20 + user]
    ]
    twins = [row._replace(user_id=f"twin{n}") for n in range(9) for row in rows if row.user_id == "u0"]
    model = train([*rows, *twins])
    neighbours = model.neighbours[model.places["u0"]]
    assert neighbours.argmax() == 0
    assert np.isfinite(neighbours).all()


def test_scores_are_within_range_and_ranked(model):
    found = Ensemble(model).recommend("user-00001", "How do I plan this?", KEY)
    scores = [score for _, score in found.ranking]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert found.algorithm == ALGORITHM
    assert found.model_version == model.version
    assert set(found.reasons) == set(Persona)


@given(users, queries, st.sampled_from(ALL_KEYS), feedbacks)
def test_scores_are_the_sum_of_components_whose_weights_sum_to_one(user, query, key, given_feedback):
    taken = sorted(set(given_feedback))[-20:]
    components = components_of(MODEL, taken, user, query, key)
    assert sum(part.weight for part in components) == pytest.approx(1)
    assert all(0 <= score <= 1 for part in components for score in part.scores)
    ensemble = Ensemble(MODEL)
    for feedback in given_feedback:
        ensemble.learn(user, feedback)
    scores = ensemble.recommend(user, query, key).scores
    for place, persona in enumerate(PERSONAS):
        assert scores[persona] == pytest.approx(sum(c.weight * c.scores[place] for c in components), abs=1e-6)


@given(users, queries, st.sampled_from(ALL_KEYS), feedbacks)
def test_the_reason_begins_with_what_lifts_a_persona_most_above_the_others(user, query, key, given_feedback):
    components = components_of(MODEL, given_feedback, user, query, key)
    for place in range(len(PERSONAS)):
        most = max(components, key=lambda part: part.lead(place))
        said = reason(components, place)
        if most.lead(place) > 0:
            assert said.startswith(most.says(place))
        else:
            assert said.startswith("nothing speaks more for it")


def test_reasons_name_the_numbers_that_are_their_ground(model):
    loved = [Feedback(number, Persona.LUA, 1.0) for number in range(1, 21)]
    ensemble = Ensemble(model)
    for feedback in loved:
        ensemble.learn("nobody", feedback)
    assert "you rated it 20 times" in ensemble.recommend("nobody", "hello", KEY).reasons[Persona.LUA]
    cold = ensemble.recommend("somebody", "our team needs a schedule and a meeting", KEY)
    assert "100% of the telling words" in cold.reasons[Persona.NANA]
    assert f"suits {KEY}" in cold.reasons[route(KEY).primary]


def test_different_users_get_different_scores(model):
    ensemble = Ensemble(model)
    answers = {str(ensemble.recommend(f"user-{number:05d}", "hello", KEY).scores) for number in range(50)}
    assert len(answers) == 50


def test_a_user_without_a_history_gets_the_router_and_the_words(model):
    found = Ensemble(model).recommend("nobody", "hello", KEY)
    assert found.cold_start
    assert found.algorithm == "content_cold_start"
    assert found.scores == route(KEY).scores
    assert Ensemble(model).recommend("nobody", "team meeting schedule", KEY).scores != route(KEY).scores


def test_feedback_changes_later_answers_of_this_user_only(model):
    ensemble = Ensemble(model)
    before, other = ensemble.recommend("user-00001", "hello", KEY), ensemble.recommend("user-00002", "hello", KEY)
    worst = before.ranking[-1][0]
    for number in range(20):
        ensemble.learn("user-00001", Feedback(number, worst, 1.0))
    after = ensemble.recommend("user-00001", "hello", KEY)
    assert after.scores[worst] > before.scores[worst]
    assert ensemble.recommend("user-00002", "hello", KEY).scores == other.scores


@given(st.sampled_from(list(MODEL.places)), st.sampled_from(PERSONAS), st.integers(0, 20).map(lambda n: n / 20))
def test_better_feedback_never_lowers_the_score_of_its_persona(user, persona, rating):
    scores = []
    for given_rating in (rating, min(1.0, rating + 0.05)):
        ensemble = Ensemble(MODEL)
        ensemble.learn(user, Feedback(1, persona, given_rating))
        scores.append(ensemble.recommend(user, "hello", KEY).scores[persona])
    assert scores[0] <= scores[1]


def test_feedback_ends_a_cold_start(model):
    ensemble = Ensemble(model)
    ensemble.learn("nobody", Feedback(1, Persona.LUA, 0.9))
    assert not ensemble.recommend("nobody", "hello", KEY).cold_start


def test_feedback_counts_as_much_before_the_next_model_as_in_it(interactions, model):
    """But for the means of all users, which move a little."""
    feedback = [Feedback(n, Persona.RIRI, 1.0) for n in range(1, 6)]
    before = components_of(model, feedback, "user-00001", "hello", KEY)[1].scores
    taught = train([*interactions, *(Interaction("user-00001", f.persona, KEY, f.rating) for f in feedback)])
    assert components_of(taught, [], "user-00001", "hello", KEY)[1].scores == pytest.approx(before, abs=1e-3)


def test_another_model_knows_its_feedback_once_and_later_feedback_stays(model):
    ensemble = Ensemble(model)
    for number in (1, 2, 3):
        ensemble.learn("nobody", Feedback(number, Persona.LUA, 1.0))
    ensemble.replace(model, {1, 3})
    assert "you rated it once" in ensemble.recommend("nobody", "hello", KEY).reasons[Persona.LUA]
    ensemble.replace(model, {1, 2, 3})
    ensemble.learn("nobody", Feedback(3, Persona.LUA, 1.0))  # stored before the model was taught, and told after
    assert ensemble.recommend("nobody", "hello", KEY).cold_start


@given(st.permutations([Feedback(n, PERSONAS[n % 4], n / 25) for n in range(1, 26)]), st.data())
def test_ratings_count_once_and_in_the_order_they_were_given_in_whatever_process_they_are_told(told, data):
    again = data.draw(st.lists(st.sampled_from(told), max_size=9))
    one, other = Ensemble(MODEL), Ensemble(MODEL)
    for feedback in sorted(told):
        one.learn("user-00001", feedback)
    for feedback in [*told, *again]:
        other.learn("user-00001", feedback)
    key = KEY
    assert other.recommend("user-00001", "", key) == one.recommend("user-00001", "", key)


def test_no_recommendation_is_made_of_two_models(interactions, model):
    """While models and feedback take turns, every answer is one of the two that either pair gives alone."""
    other = train([i._replace(rating=1 - i.rating) for i in interactions])
    wanted = {m.version: Ensemble(m).recommend("user-00001", "hello", KEY) for m in (model, other)}
    ensemble, ended, answers = Ensemble(model), threading.Event(), []

    def ask():
        while not ended.is_set():
            answers.append(ensemble.recommend("user-00001", "hello", KEY))

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for number in range(100_000):
        if number > 300 and {answer.model_version for answer in answers[::10]} == set(wanted):
            break
        ensemble.learn("another", Feedback(number, Persona.LUA, 0.5))
        ensemble.replace((other, model)[number % 2], {number})
    ended.set()
    for asker in askers:
        asker.join()
    assert {answer.model_version for answer in answers} == set(wanted)
    assert all(answer == wanted[answer.model_version] for answer in answers)


def test_what_users_rated_is_remembered_within_limits(model):
    ensemble = Ensemble(model)
    for number in range(200):
        ensemble.learn("eager", Feedback(number, Persona.LUA, 1.0))
    assert "you rated it 20 times" in ensemble.recommend("eager", "hello", KEY).reasons[Persona.LUA]
    for number in range(10_001):
        ensemble.learn(f"u{number}", Feedback(number, Persona.LUA, 1.0))
    assert ensemble.recommend("eager", "hello", KEY).cold_start


def test_too_few_users_cannot_be_learnt_from(interactions):
    with pytest.raises(ValueError, match="too few"):
        train([i for i in interactions if i.user_id == "user-00001"])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("u,Lua,calm-medium-learning,1.5", "out of range"),
        ("u,Lua,calm-medium-learning,nan", "out of range"),
        ("u,Lua,calm-medium,0.5", "no resonance key"),
        ("u,Nobody,calm-medium-learning,0.5", "Nobody"),
        ("u,Lua", "too short"),
    ],
)
def test_a_row_out_of_range_is_not_learnt_from_and_is_named(tmp_path, row, why):
    path = tmp_path / "i.csv"
    path.write_text(f"user_id,persona,resonance_key,rating\nu,Lua,calm-medium-learning,0.5\n{row}\n")
    with pytest.raises(ValueError, match=f"row 3: .*{why}"):
        read_interactions(path)


def test_a_file_without_a_column_is_not_learnt_from(tmp_path):
    path = tmp_path / "i.csv"
    path.write_text("user_id,persona\nu,Lua\n")
    with pytest.raises(ValueError, match="no column resonance_key, rating"):
        read_interactions(path)


def test_what_is_remembered_is_bounded_and_the_least_used_goes_first():
    memory = Bounded(2)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.get("a")
    memory.put("c", 3)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (1, None, 3)
