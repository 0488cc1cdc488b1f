"""What processes on one database know of each other: past recommendations, and feedback before the next model."""

import threading

import pytest
from sqlalchemy.exc import SQLAlchemyError

from engines.conversation.database import open_database
from engines.personas import Persona
from engines.recommendation import history as history_module
from engines.recommendation.history import MOST_SHOWN, History
from engines.resonance_key import parse
from processes.wait import wait_for
from tests.engines.conftest import serving

pytestmark = pytest.mark.phase4


@pytest.fixture
def engine(new_database):
    engine = open_database(new_database())
    yield engine
    engine.dispose()


def made(history, user, number):
    history.add(user, f"r{number}", Persona.ELRO, parse("urgent-burst-planning").key, "v1")


def ids(history, user):
    return [one.recommendation_id for one in history.of_user(user)]


def test_history_is_newest_first_across_processes_and_users_are_apart(engine):
    one, other = History(engine), History(engine)
    for number in range(MOST_SHOWN + 2):
        made(one, "u", number)
        made(one, "v", 100 + number)
    assert ids(other, "u") == [], "not written yet"
    assert ids(one, "u") == [f"r{number}" for number in range(11, 1, -1)], "its own at once"
    assert ids(other, "u") == ids(one, "u")
    assert ids(other, "nobody") == []
    first = one.of_user("u")[0]
    assert (first.persona, str(first.key), first.model_version) == (Persona.ELRO, "urgent-burst-planning", "v1")


def test_history_is_bounded_in_the_database(engine, monkeypatch):
    monkeypatch.setattr(history_module, "MOST_KEPT", 5)
    history = History(engine)
    for number in range(8):
        made(history, "u", number)
    assert ids(history, "u") == [f"r{number}" for number in range(7, 2, -1)]


def test_without_a_database_history_waits_within_a_limit_and_what_is_lost_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(history_module, "MOST_WAITING", 3)
    engine = open_database(f"sqlite:///{tmp_path}/ion.sqlite")
    history = History(engine)
    hidden = engine.connect().exec_driver_sql
    hidden("ALTER TABLE ion_recommendations RENAME TO away")
    for number in range(2):
        made(history, "u", number)
    with pytest.raises(SQLAlchemyError):
        history.flush()
    for number in range(2, 5):
        made(history, "u", number)
    assert history.lost == 2
    with pytest.raises(SQLAlchemyError):
        history.flush()
    hidden("ALTER TABLE away RENAME TO ion_recommendations")
    assert ids(history, "u") == ["r4", "r3", "r2"]
    engine.dispose()


def test_many_threads_lose_and_double_nothing(engine):
    history = History(engine)

    def add(start):
        for number in range(start, start + 100):
            made(history, f"u{number}", number)
            if number % 10 == 0:
                history.flush()

    threads = [threading.Thread(target=add, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [ids(history, f"u{number}") for number in range(300)] == [[f"r{number}"] for number in range(300)]


def test_processes_share_history_and_feedback_within_seconds(new_database):
    url = new_database()
    with serving("phase4", ION_DATABASE_URL=url) as one, serving("phase4", ION_DATABASE_URL=url) as other:
        body = {"user_id": "newcomer", "query": "hello"}
        before = other.post("/api/v2/recommend/personalized", json=body).json()
        assert before["metadata"]["cold_start"]
        made = one.post("/api/v2/recommend/personalized", json=body).json()
        rated = {"user_id": "newcomer", "recommendation_id": made["recommendation_id"], "rating": -1}
        assert one.post("/api/v2/recommend/feedback", json=rated).status_code == 200
        version = before["metadata"]["model_version"]

        def learnt():
            answer = other.post("/api/v2/recommend/personalized", json=body).json()
            assert answer["metadata"]["model_version"] == version, "no model was taught meanwhile"
            return answer["all_scores"][made["primary_persona"]] < before["all_scores"][made["primary_persona"]]

        wait_for(learnt, what="feedback to reach the other process", timeout_s=10)
        made = one.post("/api/v2/recommend/personalized", json=body | {"user_id": "reader"}).json()
        path = "/api/v2/recommend/history"

        def past(client):
            return [
                p["recommendation_id"] for p in client.get(path, params={"user_id": "reader"}).json()["recommendations"]
            ]

        wait_for(lambda: made["recommendation_id"] in past(other), what="the history", timeout_s=10)
        assert one.get(path, params={"user_id": "reader"}, headers={"X-User-Id": "you"}).status_code == 403
        assert "shared_state_age_seconds" in one.get("/metrics").text


def test_history_survives_a_restart(tmp_path):
    url = f"sqlite:///{tmp_path}/ion.sqlite"
    for release in ("phase3", "phase4"):
        with serving(release, ION_DATABASE_URL=url) as client:
            client.post("/api/v2/recommend/personalized", json={"user_id": "u", "query": "hello"})
    with serving("phase3", ION_DATABASE_URL=url) as client:
        past = client.get("/api/v2/recommend/history", params={"user_id": "u"}).json()["recommendations"]
    assert len(past) == 2
    assert past[1]["model_version"] == "router_v1"
