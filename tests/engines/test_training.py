"""Feedback in SQL and the models that are taught by it; over HTTP, a retraining that no request notices."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from sqlalchemy import create_engine

from engines.personas import Persona
from engines.recommendation import feedback_store
from engines.recommendation.ensemble import Ensemble, Feedback, components_of
from engines.recommendation.feedback_store import AlreadyRated, FeedbackStore
from engines.recommendation.interactions import Interaction
from engines.recommendation.training import NotTaught, Training, TrainingInProgress
from engines.resonance_key import parse
from processes.wait import wait_for
from tests.engines.conftest import started
from tests.engines.test_recommendation import DATA, KEY

pytestmark = pytest.mark.phase4

PERSONALIZED = "/api/v2/recommend/personalized"


@pytest.fixture
def store(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/ion.sqlite")
    yield FeedbackStore(engine)
    engine.dispose()


def test_feedback_is_read_as_it_was_given_and_survives_its_process(store):
    first = store.add("r1", "u1", Persona.LUA, KEY, 0.25)
    second = store.add("r2", "u2", Persona.NANA, parse("urgent-burst-planning").key, 1.0)
    assert second > first > 0
    again = FeedbackStore(store._engine)
    assert again.newest() == second
    assert again.read() == {
        first: Interaction("u1", Persona.LUA, KEY, 0.25),
        second: Interaction("u2", Persona.NANA, parse("urgent-burst-planning").key, 1.0),
    }


def test_a_recommendation_is_rated_once(store):
    assert store.add("r1", "u1", Persona.LUA, KEY, 0.5) is not None
    assert store.add("r1", "u1", Persona.LUA, KEY, 0.5) is None
    with pytest.raises(AlreadyRated):
        store.add("r1", "u1", Persona.LUA, KEY, 0.6)
    assert len(store.read()) == 1


def test_feedback_is_bounded_and_a_number_never_comes_again(store, monkeypatch):
    monkeypatch.setattr(feedback_store, "MOST_KEPT", 3)
    numbers = [store.add(f"r{n}", "u", Persona.LUA, KEY, 0.5) for n in range(5)]
    assert list(store.read()) == numbers[2:]
    store.forget()
    monkeypatch.setattr(feedback_store, "MOST_KEPT", 100)
    assert list(store.read()) == numbers[2:]
    assert store.add("next", "u", Persona.LUA, KEY, 0.5) > numbers[-1]


def test_a_model_is_taught_again_only_when_there_is_something_to_learn(store):
    async def teach():
        training = Training(DATA, store)
        first = training.ensemble.model
        assert await training.again() is first
        number = store.add("r1", "nobody", Persona.LUA, KEY, 1.0)
        training.ensemble.learn("nobody", Feedback(number, Persona.LUA, 1.0))
        second = await training.again()
        assert second is training.ensemble.model
        assert "nobody" in second.places
        own = components_of(second, (), "nobody", "hello", KEY)[1]
        assert own.says(0).startswith("you rated it once"), "known to the model, and no more beside it"
        scores = training.ensemble.recommend("nobody", "hello", KEY).scores
        assert scores == Ensemble(second).recommend("nobody", "hello", KEY).scores
        assert await training.again() is second
        return first, second

    first, second = asyncio.run(teach())
    assert first.version != second.version
    assert Training(DATA, store).ensemble.model.version == second.version, "a restart learns the same"


def test_one_model_is_taught_at_a_time(store):
    async def teach_twice():
        training = Training(DATA, store)
        store.add("r1", "nobody", Persona.LUA, KEY, 1.0)
        return await asyncio.gather(training.again(), training.again(), return_exceptions=True)

    taught = asyncio.run(teach_twice())
    assert [type(answer) is TrainingInProgress for answer in taught] == [False, True]


def test_a_model_that_cannot_be_taught_leaves_the_one_before(store, tmp_path):
    data = tmp_path / "interactions.csv"
    data.write_bytes(DATA.read_bytes())

    async def teach():
        training = Training(data, store)
        before = training.ensemble.model
        store.add("r1", "nobody", Persona.LUA, KEY, 1.0)
        data.write_text("user_id,persona,resonance_key,rating\nu,Lua,nonsense,0.5\n")
        with pytest.raises(NotTaught, match="nonsense"):
            await training.again()
        assert training.ensemble.model is before
        data.write_bytes(DATA.read_bytes())
        assert (await training.again()).version != before.version

    asyncio.run(teach())


def test_one_user_who_rates_without_end_displaces_nobody_elses_feedback_and_moves_no_mean(store, monkeypatch):
    monkeypatch.setattr(feedback_store, "MOST_OF_A_USER", 3)
    monkeypatch.setattr(feedback_store, "MOST_KEPT", 5)
    first = store.add("r", "modest", Persona.NANA, KEY, 0.5)
    numbers = [store.add(f"r{n}", "eager", Persona.LUA, KEY, 1.0) for n in range(20)]
    assert list(store.read()) == [first, *numbers[-3:]]
    store.forget()
    monkeypatch.setattr(feedback_store, "MOST_OF_A_USER", 100)
    monkeypatch.setattr(feedback_store, "MOST_KEPT", 100)
    assert list(store.read()) == [first, *numbers[-3:]]


def test_feedback_since_a_number_comes_with_what_may_have_come_late(store, monkeypatch):
    monkeypatch.setattr(feedback_store, "_MAY_COME_LATER", 2)
    monkeypatch.setattr(feedback_store, "_MOST_AT_ONCE", 3)
    numbers = [store.add(f"r{n}", "u", Persona.LUA, KEY, 0.5) for n in range(6)]
    assert list(store.since(0)) == numbers[:3]
    assert list(store.since(numbers[2])) == numbers[1:4]
    assert list(store.since(numbers[-1])) == numbers[-2:]


def test_feedback_that_another_process_took_counts_within_a_second_or_two(serve, new_database):
    url = new_database()
    with serve("phase4", ION_DATABASE_URL=url) as first, serve("phase4", ION_DATABASE_URL=url) as second:
        made = recommend(first, "traveller")
        assert rate(first, "traveller", made, -1).status_code == 200
        here = recommend(first, "traveller")
        assert here["all_scores"] != made["all_scores"]

        def same():
            return recommend(second, "traveller")["all_scores"] == here["all_scores"]

        wait_for(same, what="the other process to learn of it", timeout_s=20)
        assert not recommend(second, "traveller")["metadata"]["cold_start"]


def test_a_process_that_teaches_ends_with_the_one_that_asked_and_one_that_dies_leaves_the_model(tmp_path):
    with started("phase4", ION_DATABASE_URL=f"sqlite:///{tmp_path}/ion.sqlite") as (client, process):
        before = recommend(client, "u")
        assert rate(client, "u", before, 1).status_code == 200
        with ThreadPoolExecutor(1) as pool:
            service = psutil.Process(process.pid)
            for whose in ("its own", "the service's"):
                taught = pool.submit(client.post, "/api/v2/recommend/train")
                wait_for(lambda: teaching(service), what="a process that teaches", timeout_s=20)
                apart = teaching(service)
                if whose == "its own":
                    apart[0].kill()
                    assert taught.result().status_code == 503
                    assert recommend(client, "u")["metadata"]["model_version"] == before["metadata"]["model_version"]
                else:
                    process.kill()
                    assert taught.exception() is not None
        assert psutil.wait_procs(apart, timeout=20)[1] == []


def teaching(service):
    return [child for child in service.children() if "spawn_main" in " ".join(child.cmdline())]


def recommend(client, user, **more):
    answer = client.post(PERSONALIZED, json={"user_id": user, "query": "hello", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def rate(client, user, recommended, rating):
    body = {"user_id": user, "recommendation_id": recommended["recommendation_id"], "rating": rating}
    return client.post("/api/v2/recommend/feedback", json=body)


def test_feedback_counts_once_and_is_not_taken_back(phase4):
    made = recommend(phase4, "rater")
    assert rate(phase4, "rater", made, 0.5).status_code == 200
    once = recommend(phase4, "rater")["all_scores"]
    assert rate(phase4, "rater", made, 0.5).status_code == 200
    assert recommend(phase4, "rater")["all_scores"] == once
    assert rate(phase4, "rater", made, -0.5).status_code == 409
    assert rate(phase4, "another", made, 0.5).status_code == 404


def test_feedback_survives_a_restart_and_is_learnt_by_it(serve, tmp_path):
    url = f"sqlite:///{tmp_path}/ion.sqlite"
    with serve("phase4", ION_DATABASE_URL=url) as client:
        made = recommend(client, "newcomer")
        assert made["metadata"]["cold_start"]
        assert rate(client, "newcomer", made, 1).status_code == 200
    with serve("phase4", ION_DATABASE_URL=url) as client:
        after = recommend(client, "newcomer")
    assert not after["metadata"]["cold_start"]
    assert after["metadata"]["model_version"] != made["metadata"]["model_version"]


def test_a_recommendation_can_be_rated_after_a_restart_and_by_another_process(serve, tmp_path):
    url = f"sqlite:///{tmp_path}/ion.sqlite"
    with serve("phase4", ION_DATABASE_URL=url) as first, serve("phase4", ION_DATABASE_URL=url) as second:
        one, other = recommend(first, "traveller"), recommend(first, "traveller")
        assert rate(second, "traveller", one, 1).status_code == 200
        assert rate(first, "traveller", one, 1).status_code == 200, "it was counted, by the other process"
        assert rate(first, "traveller", one, -1).status_code == 409
    with serve("phase4", ION_DATABASE_URL=url) as third:
        assert rate(third, "traveller", other, 1).status_code == 200
        assert rate(third, "somebody else", other, 1).status_code == 404


def test_every_answer_names_the_model_that_made_it(phase4):
    version = phase4.get("/health/ready").json()["components"]["model"]
    made = recommend(phase4, "user-00009")
    assert made["metadata"]["model_version"] == version
    compared = phase4.post("/api/v2/recommend/compare", json={"user_id": "user-00009", "query": "hello"}).json()
    assert compared["metadata"]["model_version"] == version
    assert rate(phase4, "user-00009", made, 0).json()["metadata"]["model_version"] == version
    past = phase4.get("/api/v2/recommend/history", params={"user_id": "user-00009"}).json()["recommendations"]
    assert past[0]["model_version"] == version


def test_requests_are_answered_while_a_model_is_taught_and_each_by_one_model(serve):
    """10 askers during three retrainings: no answer fails, and a version always gives the same scores."""
    with serve("phase4") as client:
        answers, failures, ended = [], [], threading.Event()

        def ask():
            while not ended.is_set():
                answer = client.post(PERSONALIZED, json={"user_id": "user-00003", "query": "hello"})
                (answers if answer.status_code == 200 else failures).append(answer)

        askers = [threading.Thread(target=ask) for _ in range(10)]
        for asker in askers:
            asker.start()
        versions = []
        for rating in (1, -1, 0.5):
            assert rate(client, "user-00004", recommend(client, "user-00004"), rating).status_code == 200
            taught = client.post("/api/v2/recommend/train", timeout=60).json()
            assert taught["model_version"] != taught["previous_version"]
            versions.append(taught["model_version"])
        ended.set()
        for asker in askers:
            asker.join()
    assert not failures
    scores = {}
    for answer in (answer.json() for answer in answers):
        scores.setdefault(answer["metadata"]["model_version"], set()).add(str(answer["all_scores"]))
    assert len(versions) == len(set(versions)) == 3
    assert len(scores) >= 2
    assert all(len(of_one_version) == 1 for of_one_version in scores.values())


def test_phase_3_learns_nothing(phase3):
    assert phase3.post("/api/v2/recommend/train").status_code == 404
    made = recommend(phase3, "rater")
    assert made["metadata"]["model_version"] == "router_v1"
    assert rate(phase3, "rater", made, 1).status_code == 200
    assert recommend(phase3, "rater")["all_scores"] == made["all_scores"]
