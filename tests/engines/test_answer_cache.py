"""Answers that are kept: the same as without, bounded, counted, and truly forgotten when told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.answer_cache import AnswerCache, Answered
from engines.resonance_key import ALL_KEYS
from engines.resonance_router import route

PROCESS = "/api/v2/process"
messages = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, *map(str, ALL_KEYS[:3])])), max_size=30)


@given(messages)
def test_the_cache_answers_what_would_have_been_made(asked):
    cache = AnswerCache(3)
    for message, key in asked:
        answered, _ = cache.get(message, key, lambda: Answered(route(ALL_KEYS[0]), f"{message} {key}"))  # noqa: B023
        assert answered.text == f"{message} {key}"
        assert cache.stats.kept <= 3
    assert cache.stats.hits + cache.stats.misses == len(asked)


def test_who_was_used_longest_ago_goes_first():
    cache = AnswerCache(2)
    answer = Answered(route(ALL_KEYS[0]), "text")
    hits = [cache.get(message, None, lambda: answer)[1] for message in "abacab"]
    assert hits == [False, False, True, False, True, False]


def test_answers_are_forgotten_by_who_answered_which_key():
    cache = AnswerCache()
    for key in ALL_KEYS:
        cache.get("m", str(key), lambda: Answered(route(key), ""))  # noqa: B023
    calm = sum(key.tone == "calm" for key in ALL_KEYS)
    assert cache.invalidate("*:calm-*") == calm
    assert cache.invalidate("*:calm-*") == 0
    assert cache.clear() == len(ALL_KEYS) - calm
    assert cache.stats.kept == cache.stats.misses == 0


def stats(client):
    return {cache["name"]: cache for cache in client.get("/api/v2/cache-stats").json()["caches"]}


@pytest.fixture
def client(phase3):
    phase3.post("/api/v2/cache/clear")
    return phase3


def test_a_kept_answer_is_the_same_with_the_metadata_of_its_own_request(client):
    body = {"user_input": "Which metric shows that the design works?", "metadata": {"turn": 1}}
    first = client.post(PROCESS, json=body).json()
    second = client.post(PROCESS, json=body | {"metadata": {"turn": 2}}).json()
    assert (first["performance"]["cache_hit"], second["performance"]["cache_hit"]) == (False, True)
    assert first["content"] == second["content"]
    assert first["routing"] == second["routing"]
    assert [one["metadata"]["user_provided_metadata"]["turn"] for one in (first, second)] == [1, 2]
    assert first["request_id"] != second["request_id"]
    fresh = client.post(PROCESS, json=body | {"use_cache": False}).json()
    assert not fresh["performance"]["cache_hit"]
    assert fresh["content"] == first["content"]


def test_an_explicit_key_has_an_answer_of_its_own(client):
    body = {"user_input": "hello"}
    keys = [None, "frustrated-burst-seek_advice", "collaborative-medium-planning"]
    found = [client.post(PROCESS, json=body | {"resonance_key": key}).json() for key in keys * 2]
    assert [one["persona_used"] for one in found[:3]] == [one["persona_used"] for one in found[3:]]
    assert len({one["persona_used"] for one in found}) > 1


def test_the_routes_tell_and_clear_what_is_really_kept(client):
    for message in ("one", "two", "one"):
        client.post("/chat", json={"message": message, "user_id": "u"})
    answers = stats(client)["answers"]
    assert (answers["kept"], answers["hits"], answers["misses"]) == (2, 1, 2)
    assert answers["hit_rate"] == pytest.approx(1 / 3)
    assert client.get("/api/v2/status").json()["cached_requests"] == 2
    assert client.post("/api/v2/cache/invalidate", params={"pattern": "*"}).json() == {"forgotten": 2}
    assert client.post("/api/v2/cache/invalidate", params={"pattern": "[a"}).status_code == 422
    client.post(PROCESS, json={"user_input": "three"})
    assert client.post("/api/v2/cache/clear").json()["forgotten"] >= 1
    assert all(cache["kept"] == 0 for cache in stats(client).values())
    assert 'answer_cache_lookups_total{outcome="hit"}' in client.get("/metrics").text
