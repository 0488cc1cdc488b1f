"""Turns of one session that come at the same time: none is lost, doubled or out of order, in one process or several."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engines.conversation.memory import MOST_TURNS
from engines.conversation.session import ClosedSession, TooManyWaiting
from engines.conversation.sessions import Sessions
from engines.conversation.text_source import TextApi, TextSource
from engines.conversation.turns import Lines, TurnTaker
from engines.personas import Persona
from tests.engines.conftest import serving, started
from tests.engines.text_api import text_api

pytestmark = pytest.mark.phase4


def start(client, user="u"):
    answer = client.post("/api/v2/conversations/start", json={"user_id": user, "persona_id": "Elro"})
    return f"/api/v2/conversations/{answer.json()['session_id']}"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3)), max_size=12))
@settings(deadline=None, max_examples=50)
@example([("a", 1)] * 12)
def test_whoever_comes_first_is_first(visits):
    """Each stays for a step at least: who is gone before the last comes leaves a place in the line."""

    async def run():
        lines, order = Lines(), []

        async def visit(number, session, steps):
            async with lines.place(session):
                for _ in range(steps):
                    await asyncio.sleep(0)
                order.append((session, number))

        found = await asyncio.gather(
            *(visit(n, session, steps) for n, (session, steps) in enumerate(visits)), return_exceptions=True
        )
        assert len(lines) == 0
        for session in "ab":
            mine = [number for name, number in order if name == session]
            assert mine == sorted(mine)
            wanted = sum(name == session for name, _ in visits)
            assert len(mine) == min(wanted, MOST_TURNS)
        assert all(isinstance(error, TooManyWaiting) for error in found if error is not None)

    asyncio.run(run())


def test_whoever_waits_too_long_is_told_and_leaves_the_line():
    async def run():
        lines = Lines()
        async with lines.place("s"):
            with pytest.raises(TooManyWaiting):
                async with lines.place("s", wait_s=0.01):
                    pass
        assert len(lines) == 0
        async with lines.place("s", wait_s=0.01):
            assert len(lines) == 1

    asyncio.run(run())


def test_turns_at_the_same_time_are_answered_in_the_order_they_came(new_database):
    async def run(url):
        sessions, source = Sessions(new_database()), TextSource(TextApi(url))
        taker = TurnTaker(sessions, source)
        session_id = sessions.start("u", Persona.ELRO).session_id
        messages = [f"message {n}" for n in range(12)]
        taken = await asyncio.gather(
            *(taker.take(session_id, None, message) for message in messages), return_exceptions=True
        )
        stored = sessions.turns(session_id)
        await source.close()
        sessions.close()
        return taken, stored

    with text_api() as api:
        api.delay_s = 0.02
        taken, stored = asyncio.run(run(api.url))
    assert [turn.user_message for turn in stored] == [f"message {n}" for n in range(10)]
    assert [one.turn.number for one in taken[:10]] == list(range(1, 11))
    assert all(isinstance(error, TooManyWaiting | ClosedSession) for error in taken[10:])
    # Each was answered with the turns before it in view, the last five word for word.
    assert stored[3].response_text == "answer to message 0 | message 1 | message 2 | message 3"
    assert len(api.prompts) == 10


def test_turns_in_two_processes_are_all_taken_and_each_has_seen_those_before_it(new_database):
    url = new_database()
    with text_api() as api:
        api.delay_s = 0.02
        env = {"ION_DATABASE_URL": url, "ION_TEXT_API_URL": api.url}
        with serving("phase4", **env) as one, serving("phase4", **env) as two:
            path = start(one)

            def say(number):
                client = (one, two)[number % 2]
                answer = client.post(f"{path}/turn", json={"user_message": f"message {number}"})
                return answer.status_code, answer.json()

            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(say, range(8)))
            messages = two.get(path).json()["messages"]
    assert {status for status, _ in answers} == {200}
    assert sorted(body["turn_number"] for _, body in answers) == list(range(1, 9))
    by_number = {body["turn_number"]: body["response_text"] for _, body in answers}
    assert by_number == {turn["turn_id"]: turn["ai_response"] for turn in messages}
    said = [turn["user_message"] for turn in messages]
    assert sorted(said) == [f"message {number}" for number in range(8)]
    for place, turn in enumerate(messages):
        assert turn["ai_response"] == "answer to " + " | ".join(said[max(0, place - 5) : place + 1])


def test_a_server_that_is_stopped_answers_the_turn_it_has_begun(new_database):
    url = new_database()
    with text_api() as api, ThreadPoolExecutor(1) as pool:
        api.delay_s = 0.7
        with started("phase4", ION_DATABASE_URL=url, ION_TEXT_API_URL=api.url) as (client, process):
            path = start(client)
            begun = pool.submit(client.post, f"{path}/turn", json={"user_message": "hello"})
            while not api.prompts:
                assert not begun.done()
            process.send_signal(signal.SIGTERM)
            assert begun.result().status_code == 200
            assert process.wait(20) in (0, -signal.SIGTERM)  # uvicorn ends by the signal it was sent
    with serving("phase4", ION_DATABASE_URL=url) as client:
        assert client.get(path).json()["messages"][0]["user_message"] == "hello"
