"""Sessions in SQL: states, sliding expiry, isolation, and turns that are never lost or doubled."""

import asyncio
import base64
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from engines.conversation.database import PoolUse, check_url
from engines.conversation.memory import MOST_TURNS
from engines.conversation.session import ClosedSession, TurnInProgress, UnknownSession, WrongCursor
from engines.conversation.sessions import Sessions
from engines.personas import Persona
from engines.web.application import sweep_regularly

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


def test_a_page_goes_on_where_the_one_before_ended(sessions):
    ids = [sessions.start("u", Persona.LUA).session_id for _ in range(7)]
    first = sessions.of_user("u", 3)
    sessions.start("u", Persona.LUA)  # what is new comes first, and moves no page
    second = sessions.of_user("u", 3, first.following)
    third = sessions.of_user("u", 3, second.following)
    assert third.following is None
    assert [len(page.sessions) for page in (first, second, third)] == [3, 3, 1]
    pages = (*first.sessions, *second.sessions, *third.sessions)
    assert [session.session_id for session in pages] == ids[::-1]
    assert (first.total, third.total) == (7, 8)


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode())))
@example(base64.urlsafe_b64encode(b"0001-01-01T00:00:00+10:00 x").decode())
@example(base64.urlsafe_b64encode(b"9999-12-31T23:59:59-10:00 x").decode())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_cursor_of_no_page_is_refused(sessions, cursor):
    with pytest.raises(WrongCursor):
        sessions.of_user("u", 10, cursor)


def test_what_expired_more_than_a_day_ago_is_swept_with_its_turns(sessions):
    old = [sessions.start("u", Persona.LUA, ttl_hours=1) for _ in range(3)]
    sessions.add_turn(old[0], "hello", "hi")
    sessions.finish(old[1].session_id)
    kept = sessions.start("u", Persona.LUA, ttl_hours=48)
    now = datetime.now(UTC)
    assert sessions.sweep(now + timedelta(hours=24)) == 0
    assert sessions.sweep(now + timedelta(hours=26)) == 3
    assert [session.session_id for session in sessions.of_user("u").sessions] == [kept.session_id]
    assert sessions.turns(old[0].session_id) == []
    assert sessions.sweep(now + timedelta(hours=26)) == 0


def test_several_sweeps_at_once_remove_everything_once(sessions, monkeypatch):
    monkeypatch.setattr("engines.conversation.sessions._SWEPT_AT_ONCE", 3)
    for _ in range(20):
        sessions.add_turn(sessions.start("u", Persona.LUA, ttl_hours=1), "hello", "hi")
    later = datetime.now(UTC) + timedelta(hours=26)
    with ThreadPoolExecutor(4) as pool:
        removed = list(pool.map(lambda _: sessions.sweep(later), range(4)))
    sessions.sweep(later)  # a sweep leaves what another one holds
    assert sum(removed) <= 20
    assert sessions.of_user("u").total == 0


def test_the_service_sweeps_by_itself_and_goes_on_after_an_error(sessions, monkeypatch):
    swept = []

    def sweep():
        swept.append(1)
        if len(swept) == 1:
            raise OperationalError("", {}, Exception())
        return 0

    monkeypatch.setattr(sessions, "sweep", sweep)

    async def run():
        task = asyncio.create_task(sweep_regularly(sessions, every_s=0.01))
        while len(swept) < 3:
            await asyncio.sleep(0.01)
            assert not task.done()
        task.cancel()

    asyncio.run(run())


def test_a_session_closed_without_its_turns_keeps_their_number(sessions):
    session = sessions.start("u", Persona.LUA)
    sessions.add_turn(session, "a secret", "yes")
    closed = sessions.finish(session.session_id, keep_turns=False)
    assert (closed.state, closed.turn_count) == ("completed", 1)
    assert sessions.turns(session.session_id) == []


def test_closing_at_the_same_time_closes_once(sessions):
    session_id = sessions.start("u", Persona.LUA).session_id
    with ThreadPoolExecutor(8) as pool:
        closed = set(pool.map(lambda _: sessions.finish(session_id).closed_at, range(8)))
    assert len(closed) == 1


def test_a_turn_and_a_close_at_the_same_time_never_leave_a_turn_after_the_close(sessions):
    for _ in range(10):
        session = sessions.start("u", Persona.LUA)

        def add(session=session):
            try:
                return sessions.add_turn(session, "q", "a")
            except (TurnInProgress, ClosedSession):
                return None

        with ThreadPoolExecutor(2) as pool:
            turn, closed = pool.submit(add), pool.submit(sessions.finish, session.session_id)
        stored = sessions.turns(session.session_id)
        assert len(stored) == (turn.result() is not None) == sessions.get(session.session_id).turn_count
        assert all(one.at <= closed.result().closed_at + timedelta(seconds=1) for one in stored)


def test_several_processes_may_open_a_new_database_at_once(new_database):
    url = new_database()
    code = f"from engines.conversation.sessions import Sessions; Sessions({url!r}).close()"
    opened = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate(timeout=60)[1] for process in opened] == [b""] * 4
    assert [process.returncode for process in opened] == [0] * 4


def test_the_pool_has_a_size_that_is_never_exceeded(new_database):
    store = Sessions(new_database(), pool_size=2)
    most = 0

    def start(number):
        nonlocal most
        session = store.start("u", Persona.LUA)
        most = max(most, store.pool().in_use)
        return session

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(40)))
    assert 1 <= most <= 2
    assert store.pool() == PoolUse(size=2, in_use=0)
    assert store.of_user("u").total == 40
    store.close()


@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://u:word@h/d", "postgresql://h/d"]
)
def test_a_database_that_sessions_cannot_be_kept_in_is_refused_without_its_password(url):
    with pytest.raises(ValueError, match="expected") as refused:
        check_url(url)
    assert "word" not in str(refused.value)
