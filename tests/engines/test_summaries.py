"""Running summaries of sessions, and the paths under which the releases before were spoken to."""

import pytest

from engines.conversation.memory import Turn, summarize, summarize_messages

pytestmark = pytest.mark.phase4


@pytest.fixture
def session(phase4):
    return phase4.post("/api/v2/conversations/start", json={"user_id": "u", "persona_id": "Elro"}).json()["session_id"]


def test_a_summary_of_turns_is_one_of_their_messages():
    turns = [Turn(n, f"question {n}", f"answer {n}") for n in range(1, 7)]
    messages = [m for turn in turns for m in (("U", turn.user_message), ("A", turn.response_text))]
    assert summarize(turns) == summarize_messages(messages)
    assert summarize(turns).splitlines()[-1] == "- A: answer 6"
    assert len(summarize(turns).splitlines()) == 8


def test_the_summary_runs_along_with_the_session(phase4, session):
    empty = phase4.get(f"/summaries/{session}").json()
    assert (empty["status"], empty["summary"], empty["turns"]) == ("empty", "", 0)
    first = phase4.post(f"/sessions/{session}/messages", json={"user_message": "I need to split a service"}).json()
    second = phase4.post(f"/sessions/{session}/messages", json={"user_message": "And its database?"}).json()
    assert (first["turn_number"], second["turn_number"]) == (1, 2)
    assert first["summary"]["summary"].splitlines()[0] == "- U: I need to split a service"
    now = phase4.get(f"/summaries/{session}").json()
    assert now == second["summary"]
    assert (now["status"], now["turns"]) == ("completed", 2)
    assert now["summary"].splitlines()[2] == "- U: And its database?"
    assert now["tokens"] <= 150
    assert phase4.get(f"/api/v2/conversations/{session}").json()["turn_count"] == 2, "they are turns like any other"


def test_a_chat_ends_with_its_summary_unless_it_is_skipped(phase4, session):
    phase4.post(f"/sessions/{session}/messages", json={"user_message": "hello"})
    ended = phase4.post("/chat/end", params={"session_id": session}).json()
    assert ended["summary"]["turns"] == 1
    assert phase4.post(f"/sessions/{session}/messages", json={"user_message": "more"}).status_code == 409
    assert phase4.post("/chat/end", params={"session_id": session, "skip_summary": "true"}).json()["summary"] is None
    assert phase4.get(f"/api/v2/conversations/{session}").json()["state"] == "completed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/summaries/no-such-session"),
        ("POST", "/sessions/no-such-session/messages"),
        ("POST", "/chat/end?session_id=no-such-session"),
    ],
)
def test_an_unknown_session_is_not_found(phase4, method, path):
    body = {"user_message": "hello"} if path.endswith("messages") else None
    answer = phase4.request(method, path, json=body)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_another_users_session_is_not_summarized(phase4, session):
    headers = {"X-User-Id": "another"}
    assert phase4.get(f"/summaries/{session}", headers=headers).status_code == 404
    assert phase4.post("/chat/end", params={"session_id": session}, headers=headers).status_code == 404
    assert phase4.get(f"/summaries/{session}", headers={"X-User-Id": "u"}).status_code == 200


def test_a_preview_needs_something_to_summarize(phase4):
    said = [{"role": "user", "content": "How do I start?"}, {"role": "assistant", "content": "With one thing."}]
    shown = phase4.post("/summaries/preview", json={"messages": said}).json()
    assert shown["summary"] == "- U: How do I start?\n- A: With one thing."
    empty = phase4.post("/summaries/preview", json={"messages": []})
    assert empty.status_code == 400
    assert empty.headers["content-type"] == "application/problem+json"
    assert phase4.post("/summaries/preview", json={"messages": said * 26}).status_code == 422
    assert phase4.post("/summaries/preview", json={"messages": [{"role": "x", "content": "y"}]}).status_code == 422
