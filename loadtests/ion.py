"""Locust users of ION Mentoring.

``shared`` asks only what both versions answer (recommendations), ``full`` also holds conversations, which Phase 4 adds.
Each journey also stands alone: ``recommend``, ``compare``, ``feedback`` and ``conversation``. The scenarios of the
service's earlier load test are ``everyday`` (its IonApiUser), ``chat-only`` and ``edge-cases``; its endpoints /chat and
/docs are here /api/v2/process and /openapi.json. How many of them arrive when stands in the plan.
"""

import json
from random import Random

from loadtests.arrivals import ArrivalUser
from loadtests.journey import Call, Journey, mixture

_USERS = 20_000
_TONES = ("frustrated", "playful", "anxious", "analytical", "calm", "curious", "urgent", "confused", "collaborative")
_PACES = ("burst", "flowing", "contemplative", "medium")
_INTENTS = ("seek_advice", "problem_solving", "learning", "validation", "planning", "reflection")
_PERSONAS = ("Lua", "Elro", "Riri", "Nana")
_QUERIES = (
    "How do I plan the next sprint with a team that is tired?",
    "Which metric shows whether the release was worth it?",
    "I am stuck on a design problem and need a second opinion",
    "What can I learn from the incident of last week?",
    "We disagree about the architecture, how do we decide?",
)


def _user(random: Random) -> str:
    return f"user-{random.randrange(_USERS):05d}"


def _recommend(random: Random, user_id: str) -> Call:
    body = {
        "user_id": user_id,
        "query": random.choice(_QUERIES),
        "context": {"tone": random.choice(_TONES), "pace": random.choice(_PACES), "intent": random.choice(_INTENTS)},
        "metadata": {"source": "load"},
    }
    return Call("POST", "/api/v2/recommend/personalized", "recommend", user_id, body)


def _compare(random: Random, user_id: str) -> Call:
    return Call(
        "POST",
        "/api/v2/recommend/compare",
        "compare",
        user_id,
        {"user_id": user_id, "query": random.choice(_QUERIES)},
    )


def _recommend_alone(random: Random) -> Journey:
    yield _recommend(random, _user(random))


def _compare_alone(random: Random) -> Journey:
    yield _compare(random, _user(random))


def _feedback(random: Random) -> Journey:
    """A recommendation, and how it was."""
    user_id = _user(random)
    recommended = yield _recommend(random, user_id)
    recommendation = recommended.json.get("recommendation_id")
    if recommendation is None:
        return
    body = {"user_id": user_id, "recommendation_id": recommendation, "rating": round(random.uniform(-1, 1), 2)}
    yield Call("POST", "/api/v2/recommend/feedback", "feedback", user_id, body)


def _shared(random: Random) -> Journey:
    user_id = _user(random)
    yield _recommend(random, user_id)
    if random.random() < 0.25:
        yield _compare(random, user_id)


def _conversation(random: Random) -> Journey:
    user_id = _user(random)
    started = yield Call(
        "POST",
        "/api/v2/conversations/start",
        "start",
        user_id,
        {"user_id": user_id, "persona_id": random.choice(_PERSONAS)},
    )
    session = started.json.get("session_id")
    if session is None:
        return
    path = f"/api/v2/conversations/{session}"
    for _ in range(random.randint(1, 4)):
        yield Call("POST", f"{path}/turn", "turn", user_id, {"user_message": random.choice(_QUERIES)})
    yield Call("GET", path, "get", user_id)
    yield Call("POST", f"{path}/close", "close", user_id, {})
    yield Call("GET", f"/api/v2/conversations?user_id={user_id}", "list", user_id)


def _full(random: Random) -> Journey:
    yield from _conversation(random) if random.random() < 0.15 else _shared(random)


def _health(random: Random) -> Journey:
    yield Call("GET", "/health", "health", _user(random))


def _document(random: Random) -> Journey:
    yield Call("GET", "/openapi.json", "openapi", _user(random))


def _chat(random: Random) -> Journey:
    user_id = _user(random)
    body = {"user_input": random.choice(_QUERIES), "user_id": user_id}
    yield Call("POST", "/api/v2/process", "process", user_id, body)


_EDGE_TEXTS = {
    "empty": "",
    "long": "x" * 10_000,
    "symbols": "!@#$%^&*()_+-=[]{}|;':\",./<>?`~",
    "emoji": "\N{GRINNING FACE}\N{ROCKET}" * 20,
    "nulls": "a\0b\0c",
    "newlines": "one\ntwo\r\nthree\n\n",
    "none": None,
}
_EDGE_BODIES = {
    **{name: json.dumps({"user_input": text, "user_id": "edge"}).encode() for name, text in _EDGE_TEXTS.items()},
    "malformed": b'{"user_input": "no end',
}


def _edge_case(random: Random) -> Journey:
    """What no user should send: an answer is as good as a refusal, and neither may be a 5xx."""
    name, body = random.choice(list(_EDGE_BODIES.items()))
    yield Call("POST", "/api/v2/process", f"edge {name}", "edge", body=body, expect=(200, 400, 422))


class IonUser(ArrivalUser):
    """A user of ION Mentoring."""

    journeys = {  # noqa: RUF012 - declared as ClassVar by the base
        "shared": _shared,
        "full": _full,
        "recommend": _recommend_alone,
        "compare": _compare_alone,
        "feedback": _feedback,
        "conversation": _conversation,
        "everyday": mixture([(1, _health), (5, _chat), (2, _document)]),
        "chat-only": _chat,
        "edge-cases": _edge_case,
    }
