"""What is asked: recommendations for users drawn evenly, in moments drawn evenly."""

from collections.abc import Iterator
from random import Random

from benchmarks.engines.client import Request, post
from engines.resonance_key import Intent, Pace, Tone

QUERY = "How do I plan the next sprint with a team that is tired?"

_TONES, _PACES, _INTENTS = list(Tone), list(Pace), list(Intent)


def user_of(random: Random, users: int) -> str:
    return f"user-{random.randrange(users):05d}"


def recommendation(random: Random, user: str) -> Request:
    moment = {"tone": random.choice(_TONES), "pace": random.choice(_PACES), "intent": random.choice(_INTENTS)}
    return post("/api/v2/recommend/personalized", {"user_id": user, "query": QUERY, "context": moment})


def recommendations(users: int) -> Iterator[Request]:
    random = Random(2)
    while True:
        yield recommendation(random, user_of(random, users))
