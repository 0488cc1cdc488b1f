"""Critical issue 2: metadata that a caller sent was lost on some paths."""

import pytest

from tests.engines.conftest import serving
from tests.engines.text_api import text_api

pytestmark = pytest.mark.critical_issue(issue="Metadata Transmission")

METADATA = {"source": "web", "version": 2, "tags": ["a", "b"], "nested": {"empty": None, "text": "ä-日本"}}


def carried(client, path, body):
    response = client.post(path, json=body | {"metadata": METADATA})
    assert response.status_code == 200, response.text
    return response.json()["metadata"]["user_provided_metadata"]


RECOMMEND = {"user_id": "user-00001", "query": "How do I plan this?"}


@pytest.mark.parametrize("path", ["/api/v2/recommend/personalized", "/api/v2/recommend/compare"])
def test_recommendations_of_both_releases_carry_metadata(phase3, phase4, path):
    assert carried(phase3, path, RECOMMEND) == METADATA
    assert carried(phase4, path, RECOMMEND) == METADATA


def test_metadata_survives_a_context_and_a_cold_start(phase4):
    context = {"tone": "urgent", "pace": "unknown", "intent": "planning"}
    assert carried(phase4, "/api/v2/recommend/personalized", RECOMMEND | {"context": context}) == METADATA
    assert carried(phase4, "/api/v2/recommend/personalized", RECOMMEND | {"user_id": "nobody"}) == METADATA


def test_asking_again_carries_the_metadata_of_this_request(phase4):
    for number in range(3):
        body = RECOMMEND | {"metadata": {"number": number}}
        answer = phase4.post("/api/v2/recommend/personalized", json=body).json()
        assert answer["metadata"]["user_provided_metadata"] == {"number": number}


def test_processing_carries_metadata(phase3):
    assert carried(phase3, "/api/v2/process", {"user_input": "hello"}) == METADATA


@pytest.mark.parametrize("persona", ["Lua", "Elro", "Riri", "Nana"])
def test_every_step_of_a_conversation_carries_metadata_with_every_persona(phase4, persona):
    start = {"user_id": "u", "persona_id": persona}
    assert carried(phase4, "/api/v2/conversations/start", start) == METADATA
    session = phase4.post("/api/v2/conversations/start", json=start).json()["session_id"]
    assert carried(phase4, f"/api/v2/conversations/{session}/turn", {"user_message": "hello"}) == METADATA
    assert carried(phase4, f"/api/v2/conversations/{session}/close", {}) == METADATA


@pytest.mark.parametrize(("release", "at_least"), [("phase3", 8), ("phase4", 11)])
def test_every_route_that_takes_metadata_gives_it_back(release, at_least):
    """All that the OpenAPI document names, each asked with its own example: whatever is added is asked too."""
    with serving(release) as client:
        assert len(asked_with_metadata(client)) >= at_least


def asked_with_metadata(client):
    document, asked = client.get("/openapi.json").json(), []
    for path, operations in document["paths"].items():
        for content in (o["requestBody"]["content"] for o in operations.values() if "requestBody" in o):
            for schema in named(document, content["application/json"]["schema"]):
                if "metadata" in schema["properties"]:
                    body = schema["examples"][0]
                    if "recommendation_id" in body:
                        body = body | {"recommendation_id": recommended(client, body["user_id"])}
                    if "{session_id}" in path:
                        path = path.replace("{session_id}", started(client))
                    assert carried(client, path, body) == METADATA, path
                    asked.append(path)
    return asked


def named(document, schema):
    """The schemas that are referred to, alone or as alternatives."""
    alternatives = schema.get("anyOf") or schema.get("oneOf") or [schema]
    references = [one["$ref"].rpartition("/")[2] for one in alternatives if "$ref" in one]
    return [document["components"]["schemas"][reference] for reference in references]


def recommended(client, user):
    return client.post("/api/v2/recommend/personalized", json=RECOMMEND | {"user_id": user}).json()["recommendation_id"]


def started(client):
    return client.post("/api/v2/conversations/start", json={"user_id": "u", "persona_id": "Lua"}).json()["session_id"]


def test_messages_in_bulk_carry_the_metadata_of_each(phase3):
    requests = [{"user_input": "hello", "metadata": {"number": number}} for number in range(3)]
    answer = phase3.post("/api/v2/bulk-process", json={"requests": requests}).json()
    assert [one["metadata"]["user_provided_metadata"] for one in answer["results"]] == [
        {"number": number} for number in range(3)
    ]


def test_no_metadata_is_an_empty_object(phase3):
    answer = phase3.post("/api/v2/recommend/personalized", json=RECOMMEND).json()
    assert answer["metadata"]["user_provided_metadata"] == {}


def test_metadata_without_a_limit_is_refused(phase3):
    body = RECOMMEND | {"metadata": {f"k{number}": 1 for number in range(51)}}
    assert phase3.post("/api/v2/recommend/personalized", json=body).status_code == 422


def test_feedback_carries_metadata(phase4):
    given = phase4.post("/api/v2/recommend/personalized", json=RECOMMEND).json()["recommendation_id"]
    body = {"user_id": RECOMMEND["user_id"], "recommendation_id": given, "rating": 1}
    assert carried(phase4, "/api/v2/recommend/feedback", body) == METADATA


@pytest.mark.parametrize(("status", "source"), [(200, "api"), (500, "template")])
def test_a_turn_carries_metadata_whoever_wrote_the_text(status, source):
    with text_api() as api, serving("phase4", ION_TEXT_API_URL=api.url) as client:
        api.status = status
        started = client.post("/api/v2/conversations/start", json={"user_id": "u", "persona_id": "Lua"}).json()
        path = f"/api/v2/conversations/{started['session_id']}/turn"
        body = {"user_message": "hello", "metadata": METADATA}
        metadata = client.post(path, json=body).json()["metadata"]
    assert metadata["text_source"] == source
    assert metadata["user_provided_metadata"] == METADATA


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", '"\\ud800"'])
def test_metadata_that_could_not_come_back_equal_is_refused_and_not_changed(phase3, text):
    body = '{"user_id": "u", "query": "x", "metadata": {"value": ' + text + "}}"
    answer = phase3.post("/api/v2/recommend/personalized", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
