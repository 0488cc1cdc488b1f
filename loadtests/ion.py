"""Locust users of ION Mentoring.

``shared`` asks only what both versions answer (recommendations), ``full`` also holds conversations, which Phase 4 adds.
"""

from random import Random

from loadtests.arrivals import ArrivalUser
from loadtests.journey import Call, Journey

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


def _shared(random: Random) -> Journey:
    user_id = _user(random)
    yield _recommend(random, user_id)
    if random.random() < 0.25:
        body = {"user_id": user_id, "query": random.choice(_QUERIES)}
        yield Call("POST", "/api/v2/recommend/compare", "compare", user_id, body)


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


class IonUser(ArrivalUser):
    """A user of ION Mentoring."""

    journeys = {"shared": _shared, "full": _full}  # noqa: RUF012 - declared as ClassVar by the base
