"""Sessions in SQL: states, sliding expiry, isolation, and turns that are never lost or doubled."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.conversation.memory import MOST_TURNS
from engines.conversation.session import ClosedSession, TurnInProgress, UnknownSession, WrongCursor
from engines.conversation.sessions import Sessions
from engines.personas import Persona

pytestmark = pytest.mark.phase4


@pytest.fixture
def url(new_database):
    return new_database()


@pytest.fixture
def sessions(url):
    store = Sessions(url)
    yield store
    store.close()


def test_a_session_is_active_until_it_is_closed(sessions):
    started = sessions.start("u", Persona.LUA)
    assert started.state == "active"
    assert sessions.finish(started.session_id).state == "completed"
    assert sessions.finish(started.session_id).state == "completed"


def test_ids_cannot_be_guessed(sessions):
    ids = {sessions.start("u", Persona.LUA).session_id for _ in range(50)}
    assert len(ids) == 50
    assert all(len(session_id) >= 32 and session_id != "u" for session_id in ids)


def test_an_unknown_session_and_another_users_are_not_found(sessions):
    mine = sessions.start("me", Persona.LUA).session_id
    with pytest.raises(UnknownSession):
        sessions.get("no-such-session")
    with pytest.raises(UnknownSession):
        sessions.get(mine, "you")
    assert sessions.get(mine, "me").user_id == "me"


def test_an_expired_session_is_not_found(sessions):
    started = sessions.start("u", Persona.LUA, ttl_hours=0)
    with pytest.raises(UnknownSession):
        sessions.get(started.session_id)


def test_a_turn_moves_the_expiry_on(sessions):
    started = sessions.start("u", Persona.LUA, ttl_hours=1)
    sessions.add_turn(started, "hello", "hi")
    later = sessions.get(started.session_id)
    assert later.expires_at > started.expires_at
    assert later.turn_count == 1


def test_there_are_at_most_ten_turns_and_none_after_closing(sessions):
    session_id = sessions.start("u", Persona.LUA).session_id
    for number in range(MOST_TURNS):
        assert sessions.add_turn(sessions.get(session_id), "q", "a").number == number + 1
    with pytest.raises(ClosedSession):
        sessions.add_turn(sessions.get(session_id), "q", "a")
    closed = sessions.finish(sessions.start("u", Persona.LUA).session_id)
    with pytest.raises(ClosedSession):
        sessions.add_turn(closed, "q", "a")


def test_of_turns_at_the_same_time_one_is_stored_and_the_others_are_told(sessions):
    started = sessions.start("u", Persona.LUA)

    def take(number):
        try:
            return sessions.add_turn(started, f"q{number}", "a").number
        except TurnInProgress:
            return None

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, range(8)))
    assert [number for number in taken if number is not None] == [1]
    assert len(sessions.turns(started.session_id)) == 1


def test_sessions_survive_a_restart(url, sessions):
    session_id = sessions.start("u", Persona.NANA).session_id
    sessions.add_turn(sessions.get(session_id), "hello", "hi")
    again = Sessions(url)
    assert again.get(session_id).persona == Persona.NANA
    assert [turn.user_message for turn in again.turns(session_id)] == ["hello"]
    again.close()


def test_a_users_sessions_are_listed_newest_first_and_no_one_elses(sessions):
    ids = [sessions.start("u", Persona.LUA).session_id for _ in range(3)]
    sessions.start("other", Persona.LUA)
    page = sessions.of_user("u")
    assert [session.session_id for session in page.sessions] == ids[::-1]
    assert (page.total, page.active, page.following) == (3, 3, None)
    assert sessions.active() == 4
