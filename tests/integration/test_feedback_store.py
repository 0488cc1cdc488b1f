"""The feedback of recommendations on SQLite and PostgreSQL, used by several processes at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine

from engines.personas import Persona
from engines.recommendation import feedback_store
from engines.recommendation.feedback_store import AlreadyRated, FeedbackStore
from engines.recommendation.interactions import Interaction
from engines.resonance_key import parse

KEY = parse("calm-medium-planning").key


@pytest.fixture
def engines(database_url):
    """As many engines as there would be processes."""
    opened = [create_engine(database_url) for _ in range(6)]
    yield opened
    for engine in opened:
        engine.dispose()


def test_processes_that_start_together_share_one_secret(engines):
    with ThreadPoolExecutor(len(engines)) as pool:
        stores = list(pool.map(FeedbackStore, engines))
    assert len({store.secret for store in stores}) == 1
    assert len(stores[0].secret) == 32


def test_feedback_of_all_processes_is_read_by_each_and_a_recommendation_is_rated_once(engines):
    stores = [FeedbackStore(engine) for engine in engines]

    def rate_all(store):
        return [store.add(f"r{number}", f"u{number}", Persona.RIRI, KEY, 0.5) for number in range(20)]

    with ThreadPoolExecutor(len(stores)) as pool:
        numbers = [number for given in pool.map(rate_all, stores) for number in given if number is not None]
    assert len(numbers) == len(set(numbers)) == 20
    for store in stores:
        assert sorted(store.read()) == sorted(numbers)
        assert set(store.read().values()) == {Interaction(f"u{n}", Persona.RIRI, KEY, 0.5) for n in range(20)}
        assert store.newest() == max(numbers)
        with pytest.raises(AlreadyRated):
            store.add("r3", "u3", Persona.RIRI, KEY, 0.75)


def test_what_is_forgotten_is_the_oldest(engines, monkeypatch):
    store = FeedbackStore(engines[0])
    numbers = [store.add(f"r{n}", "u", Persona.LUA, KEY, n / 10) for n in range(5)]
    monkeypatch.setattr(feedback_store, "MOST_KEPT", 2)
    store.forget()
    monkeypatch.setattr(feedback_store, "MOST_KEPT", 100)
    assert list(store.read()) == numbers[-2:]
    store.forget()
    assert len(store.read()) == 2
