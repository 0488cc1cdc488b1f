"""Phase 4 over HTTP: conversations, feedback, history and the document that describes them."""

import pytest

pytestmark = pytest.mark.phase4


def start(client, user="u1", **options):
    answer = client.post("/api/v2/conversations/start", json={"user_id": user, "persona_id": "Elro", **options})
    assert answer.status_code == 200, answer.text
    return f"/api/v2/conversations/{answer.json()['session_id']}"


def test_a_conversation_from_start_to_close(phase4):
    path = start(phase4)
    first = phase4.post(f"{path}/turn", json={"user_message": "I need to split a Python service"}).json()
    second = phase4.post(f"{path}/turn", json={"user_message": "What about its database?"}).json()
    assert (first["turn_number"], second["turn_number"]) == (1, 2)
    assert first["response_text"] != second["response_text"]
    assert "Python" in second["context_used"]
    assert second["metadata"]["text_source"] == "template"
    detail = phase4.get(path).json()
    assert detail["turn_count"] == len(detail["messages"]) == 2
    assert detail["context_memory"]["entities"]["technology"] == ["Python"]
    closed = phase4.post(f"{path}/close").json()
    assert closed["summary"]["total_turns"] == 2
    assert phase4.get(path).json()["state"] == "completed"
    assert phase4.post(f"{path}/turn", json={"user_message": "more"}).status_code == 409


def test_the_eleventh_turn_is_refused(phase4):
    path = start(phase4)
    answers = [phase4.post(f"{path}/turn", json={"user_message": f"message {n}"}) for n in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [409]
    assert answers[8].json()["next_suggestion"].startswith("One turn is left")


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("POST", "/turn"), ("POST", "/close")])
def test_an_unknown_session_is_not_found(phase4, method, suffix):
    body = {"user_message": "hello"} if suffix == "/turn" else None
    answer = phase4.request(method, f"/api/v2/conversations/no-such-session{suffix}", json=body)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_another_users_session_is_not_found(phase4):
    path = start(phase4, "owner")
    assert phase4.get(path, headers={"X-User-Id": "other"}).status_code == 404
    assert phase4.get(path, headers={"X-User-Id": "owner"}).status_code == 200


def test_an_unknown_persona_is_refused(phase4):
    assert phase4.post("/api/v2/conversations/start", json={"user_id": "u", "persona_id": "Bob"}).status_code == 422


def test_sessions_of_a_user_are_listed(phase4):
    start(phase4, "lister")
    phase4.post(f"{start(phase4, 'lister')}/close")
    listed = phase4.get("/api/v2/conversations", params={"user_id": "lister"}).json()
    assert (listed["total_count"], listed["active_count"]) == (2, 1)
    assert phase4.get("/api/v2/conversations").status_code == 422


def recommend(client, user):
    return client.post("/api/v2/recommend/personalized", json={"user_id": user, "query": "hello"}).json()


def test_feedback_on_a_recommendation_changes_the_next_one(phase4):
    before = recommend(phase4, "user-00042")
    body = {"user_id": "user-00042", "recommendation_id": before["recommendation_id"], "rating": -1}
    assert phase4.post("/api/v2/recommend/feedback", json=body).status_code == 200
    after = recommend(phase4, "user-00042")
    assert after["all_scores"][before["primary_persona"]] < before["all_scores"][before["primary_persona"]]


def test_feedback_on_an_unknown_recommendation_is_not_found(phase4):
    body = {"user_id": "u", "recommendation_id": "no-such", "rating": 1}
    assert phase4.post("/api/v2/recommend/feedback", json=body).status_code == 404


def test_who_wants_no_model_is_answered_by_the_router_alone(phase3, phase4):
    body = {"user_id": "user-00042", "query": "hello", "options": {"use_ml_model": False}}
    answers = [client.post("/api/v2/recommend/personalized", json=body).json() for client in (phase3, phase4)]
    assert answers[0]["all_scores"] == answers[1]["all_scores"]
    assert {answer["metadata"]["algorithm"] for answer in answers} == {"resonance_router"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("recommend/personalized", {"user_id": "u", "query": "hello", "context": {"tones": "calm"}}),
        ("conversations/start", {"user_id": "u", "persona_id": "Lua", "options": {"session_ttl_hour": 1}}),
    ],
)
def test_a_slip_of_the_pen_inside_a_body_is_refused(phase4, path, body):
    assert phase4.post(f"/api/v2/{path}", json=body).status_code == 422


def test_history_is_newest_first_and_bounded(phase4):
    ids = [recommend(phase4, "historian")["recommendation_id"] for _ in range(12)]
    past = phase4.get("/api/v2/recommend/history", params={"user_id": "historian"}).json()["recommendations"]
    assert [entry["recommendation_id"] for entry in past] == ids[::-1][:10]


def test_comparing_shows_both_releases(phase4):
    answer = phase4.post("/api/v2/recommend/compare", json={"user_id": "user-00001", "query": "fix this bug"}).json()
    assert answer["legacy_recommendation"]["method"] == "resonance_router"
    assert answer["new_recommendation"]["method"] != "resonance_router"
    alone = {"user_id": "user-00001", "query": "fix this bug", "include_legacy": False}
    assert phase4.post("/api/v2/recommend/compare", json=alone).json()["legacy_recommendation"] is None


def test_every_route_documents_its_errors(phase4):
    document = phase4.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path.startswith("/api/"):
                given = {"422"} if "requestBody" in operation or "parameters" in operation else set()
                assert {"200", "401", "429", "500", "503"} | given <= set(operation["responses"])
                for status, answer in operation["responses"].items():
                    assert status == "200" or "application/problem+json" in answer["content"]


def test_sessions_survive_a_restart_of_the_service(serve, tmp_path):
    url = f"sqlite:///{tmp_path}/ion.sqlite"
    with serve("phase4", ION_DATABASE_URL=url) as client:
        path = start(client)
        client.post(f"{path}/turn", json={"user_message": "remember this"})
    with serve("phase4", ION_DATABASE_URL=url) as client:
        assert client.get(path).json()["messages"][0]["user_message"] == "remember this"
