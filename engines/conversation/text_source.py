"""The text of an answer: an OpenAI-compatible API while it works, a local template of the persona when it does not."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import stamina

from engines.conversation.memory import Context
from engines.personas import CHARACTERS, Persona

DEADLINE_S = 2.0
_ATTEMPT_S = 1.0
_ATTEMPTS = 2
_FAILURES_TO_OPEN = 5
_OPEN_S = 10.0
_MOST_CHARACTERS = 8000


@dataclass(frozen=True)
class Text:
    """A text and where it came from: ``api`` or ``template``; ``why`` says what kept the API from answering."""

    text: str
    source: str
    why: str = ""


class _Unusable(Exception):
    """The API answered, and the answer is of no use."""


class TextSource:
    """Asks the API with a deadline over everything; after five failures in a row it is left alone for 10 s."""

    def __init__(self, url: str | None, model: str = "ion-text") -> None:
        self._url = url.rstrip("/") if url else None
        self._model = model
        self._client = httpx.AsyncClient(timeout=_ATTEMPT_S, trust_env=False, limits=httpx.Limits(max_connections=50))
        self._failures = 0
        self._closed_until_s = 0.0

    async def answer(self, persona: Persona, context: Context, message: str) -> Text:
        """A text for the message, within about 2 s whatever the API does."""
        if self._url is None:
            return Text(template(persona, context, message), "template", "no API is configured")
        if time.monotonic() < self._closed_until_s:
            return Text(template(persona, context, message), "template", "the API failed too often")
        try:
            async with asyncio.timeout(DEADLINE_S):
                text = await self._ask(_prompt(persona, context, message))
        except (httpx.HTTPError, TimeoutError, _Unusable) as error:
            self._failures += 1
            if self._failures >= _FAILURES_TO_OPEN:
                self._closed_until_s = time.monotonic() + _OPEN_S
            return Text(template(persona, context, message), "template", type(error).__name__.strip("_"))
        self._failures = 0
        return Text(text, "api")

    async def _ask(self, messages: Sequence[dict[str, str]]) -> str:
        retried = (httpx.TransportError, _Unusable)
        async for attempt in stamina.retry_context(
            on=retried, attempts=_ATTEMPTS, timeout=DEADLINE_S, wait_initial=0.05, wait_max=0.2, wait_jitter=0.05
        ):
            with attempt:
                response = await self._client.post(
                    f"{self._url}/v1/chat/completions", json={"model": self._model, "messages": list(messages)}
                )
                return _text_of(response)
        raise _Unusable

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _text_of(response: httpx.Response) -> str:
    if response.status_code != 200:
        raise _Unusable
    try:
        text = response.json()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise _Unusable from error
    if not isinstance(text, str) or not text.strip():
        raise _Unusable
    return text[:_MOST_CHARACTERS]


def _prompt(persona: Persona, context: Context, message: str) -> list[dict[str, str]]:
    character = CHARACTERS[persona]
    system = f"You are {persona}, {character.role}. {character.manner}"
    if context.summary:
        system += f"\nEarlier in this conversation:\n{context.summary}"
    if context.memory.preferences:
        system += f"\nThe user's wishes: {context.memory.preferences}"
    messages = [{"role": "system", "content": system}]
    for turn in context.turns:
        messages.append({"role": "user", "content": turn.user_message})
        messages.append({"role": "assistant", "content": turn.response_text})
    return [*messages, {"role": "user", "content": message}]


_TEMPLATES = {
    Persona.LUA: "That sounds like it matters to you. Let us stay with {topic} for a moment: {thought} "
    "What would make the next step feel lighter?",
    Persona.ELRO: "1. What we know: {topic}. 2. {thought} 3. Try the smallest change that could work, and check it. "
    "Mind what depends on it.",
    Persona.RIRI: "Data: you asked about {topic}. Pattern: {thought} Recommendation: measure it before and after, "
    "and decide by the difference.",
    Persona.NANA: "Situation: {topic}. {thought} Plan: agree on who does what by when, and tell everyone who is "
    "affected.",
}


def template(persona: Persona, context: Context, message: str) -> str:
    """A text of the persona's manner that uses the context; it depends on the message and on what was said before."""
    topics = context.memory.topics
    topic = ", ".join(topics[-3:]) or "what you wrote"
    earlier = [name for name in topics if name not in message.lower()]
    thought = f"earlier you spoke of {', '.join(earlier[:2])}." if earlier else "this is where we begin."
    if (names := context.memory.entities) and (first := next(iter(names.values()))):
        thought += f" You named {', '.join(first[:2])}."
    text = _TEMPLATES[persona].format(topic=topic, thought=thought)
    return text.split(". ")[0] + "." if context.memory.preferences.get("answer_length") == "short" else text
