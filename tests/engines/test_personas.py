"""Personas, and messages answered without a session, over HTTP: the same in both releases."""

import pytest

from engines.personas import Persona


def post(client, path, body):
    answer = client.post(f"/api/v2/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_persona_is_described_with_what_it_suits(phase3):
    cards = phase3.get("/api/v2/personas").json()["personas"]
    assert [card["name"] for card in cards] == [persona.value for persona in Persona]
    lua = phase3.get("/api/v2/personas/lua").json()
    assert lua == cards[0]
    assert lua["best_for_tones"] == ["frustrated", "playful", "anxious", "confused"]
    assert phase3.get("/api/v2/personas/bob").status_code == 404


@pytest.mark.parametrize(
    ("scenario", "persona", "method"),
    [
        ("Our team needs a roadmap", "Nana", "keywords"),
        ("Which metric shows the trend?", "Riri", "keywords"),
        ("Calm now", "Riri", "resonance_router"),
    ],
)
def test_a_scenario_gets_the_persona_of_its_words(phase3, scenario, persona, method):
    answer = post(phase3, "recommend", {"scenario": scenario})
    assert (answer["recommended_persona"], answer["method"]) == (persona, method)


def test_messages_in_bulk_are_answered_as_they_are_one_by_one(phase3):
    requests = [{"user_input": text, "metadata": {"n": n}} for n, text in enumerate(("fix this bug", "I feel lost"))]
    answer = post(phase3, "bulk-process", {"requests": requests})
    one_by_one = [post(phase3, "process", request) for request in requests]
    its_own = ("performance", "timestamp", "request_id")
    same = [
        [{k: v for k, v in one.items() if k not in its_own} for one in all_] for all_ in (answer["results"], one_by_one)
    ]
    assert same[0] == same[1]
    assert phase3.post("/api/v2/bulk-process", json={"requests": []}).status_code == 422
    assert phase3.post("/api/v2/bulk-process", json={"requests": requests * 51}).status_code == 422


def test_a_message_that_concerns_several_is_answered_by_several(phase3):
    said = "The team feels stress, and the data show a bug"
    answer = post(phase3, "chat/multi-persona", {"user_input": said})
    assert answer["complexity"] == "complex"
    assert len(answer["contributions"]) == 3
    alone = post(phase3, "chat/multi-persona", {"user_input": "hello"})
    assert alone["complexity"] == "simple"
    assert len(post(phase3, "chat/multi-persona", {"user_input": "hello", "force_multi": True})["contributions"]) == 2


def test_a_chat_is_answered_by_the_persona_of_its_key(phase3):
    answer = post(phase3, "chat", {"message": "Urgent: plan the milestones together!", "user_id": "u"})
    assert answer["persona_used"] == "Nana"
    assert answer["resonance_key"].startswith("urgent-")
