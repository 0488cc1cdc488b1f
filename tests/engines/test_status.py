"""What both releases tell about themselves, and the chat under its first path."""

import pytest

import engines
from tests.engines.conftest import serving


@pytest.fixture(scope="module", params=["phase3", pytest.param("phase4", marks=pytest.mark.phase4)])
def client(request):
    with serving(request.param) as client:
        yield client


def test_the_service_says_what_it_is(client):
    about = client.get("/").json()
    assert (about["service"], about["version"]) == (engines.SERVICE, engines.VERSIONS[about["release"]])
    assert client.get(about["document"]).status_code == 200
    assert client.get(about["health"]).status_code == 200


def test_health_names_the_parts_that_answers_are_made_of(client):
    health = client.get("/api/v2/health").json()
    assert (health["status"], health["service_status"]["status"]) == ("healthy", "operational")
    assert health["dependencies"]["router"] == "ready"
    expected = {"router"} if client.get("/").json()["release"] == "phase3" else {"router", "model", "database"}
    assert set(health["dependencies"]) == expected


def test_detailed_health_is_measured(client):
    for _ in range(3):
        client.get("/api/v2/personas")
    found = client.get("/health/detailed").json()
    assert found["status"] == "healthy"
    assert 2**24 < found["memory"]["resident_bytes"] < found["memory"]["limit_bytes"]
    assert 0 < found["disk"]["free_bytes"] <= found["disk"]["total_bytes"]
    assert 3 <= found["response_time"]["answers"] <= 100
    assert found["response_time"]["p95_ms"] > 0
    assert found["shared_state_age_s"] < 30


def test_status_counts_requests(client):
    before = client.get("/api/v2/status").json()
    client.get("/api/v2/personas")
    after = client.get("/api/v2/status").json()
    assert after["uptime_s"] > before["uptime_s"]
    assert after["requests"] > before["requests"]


def test_flags_say_what_is_on(client):
    flags = client.get("/debug/feature-flags").json()["flags"]
    phase4 = client.get("/").json()["release"] == "phase4"
    assert (flags["ensemble"], flags["conversations"], flags["experiment"]) == (phase4, phase4, False)
    assert not flags["production"]


def test_the_first_path_of_the_chat_answers_as_the_versioned_one(client):
    body = {"message": "Our team is stressed", "user_id": "u", "metadata": {"a": 1}}
    first, versioned = client.post("/chat", json=body).json(), client.post("/api/v2/chat", json=body).json()
    assert first["content"] == versioned["content"]
    assert first["metadata"]["user_provided_metadata"] == {"a": 1}
    assert first["metadata"]["routing"]["secondary_persona"] != first["persona_used"]
    assert client.post("/chat", json={"message": "", "user_id": "u"}).status_code == 422
