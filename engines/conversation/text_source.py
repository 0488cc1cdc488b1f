"""The text of an answer: an OpenAI-compatible API while it works, a local template of the persona when it does not."""

import asyncio
import json
from dataclasses import dataclass
from enum import StrEnum

import httpx
import stamina
from circuitbreaker import CircuitBreaker

from engines.conversation.memory import Context, Used
from engines.conversation.prompt import ANSWER_TOKENS, Messages, prompt
from engines.conversation.templates import write
from engines.personas import Persona

DEADLINE_S = 2.0
_ATTEMPT_S = 1.0
_ATTEMPTS = 2
_FAILURES_TO_OPEN = 5
_OPEN_S = 10
_MOST_CONNECTIONS = 50
_MOST_CHARACTERS = 4000
_LARGEST_ANSWER_BYTES = 1_000_000
_OF_THE_MESSAGE = (400, 413, 422)


class Reason(StrEnum):
    """Why the API did not write a text: fixed words, which say nothing of where it is and how it failed inside."""

    NONE = ""
    NOT_CONFIGURED = "no API is configured"
    OPEN = "the API failed too often"
    LATE = "the API did not answer in time"
    UNREACHABLE = "the API could not be reached"
    REFUSED = "the API refused the request"
    UNUSABLE = "the API's answer was of no use"


@dataclass(frozen=True)
class Text:
    """A text, where it came from (``api`` or ``template``), why not from the API, and what of the context it used."""

    text: str
    source: str
    why: Reason
    used: Used


@dataclass(frozen=True)
class TextApi:
    """Where texts are asked for: ``url`` is what ``/v1/chat/completions`` is appended to."""

    url: str
    key: str | None = None
    model: str = "ion-text"


class _Failed(Exception):
    """No usable text came of an attempt.

    ``again`` tells whether another attempt can be of use, ``of_api`` whether it speaks against the API.
    """

    def __init__(self, reason: Reason, *, again: bool, of_api: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.again, self.of_api = reason, again, of_api


def _speaks_against_it(_kind: type[BaseException], error: BaseException) -> bool:
    return isinstance(error, _Failed) and error.of_api


class TextSource:
    """Asks the API with a deadline over everything; after five failures in a row it is left alone for 10 s.

    After these 10 s one request at a time tries it, and one more failure opens the circuit once more. A message that
    the API refuses (400, 413, 422) is no failure of the API: else one user could take it from all.
    """

    def __init__(self, api: TextApi | None) -> None:
        self._api = api
        # Compressed, a megabyte could be a gigabyte.
        headers = {"Accept-Encoding": "identity"}
        if api and api.key:
            headers["Authorization"] = f"Bearer {api.key}"
        limits = httpx.Limits(max_connections=_MOST_CONNECTIONS)
        self._client = httpx.AsyncClient(timeout=_ATTEMPT_S, trust_env=False, limits=limits, headers=headers)
        self.circuit = CircuitBreaker(
            _FAILURES_TO_OPEN, _OPEN_S, expected_exception=_speaks_against_it, name="text API"
        )
        self._tried = False

    async def answer(self, persona: Persona, context: Context, message: str) -> Text:
        """A text for the message, within about 2 s whatever the API does."""
        if self._api is None:
            why = Reason.NOT_CONFIGURED
        elif self.circuit.opened or (self._tried and not self.circuit.closed):
            why = Reason.OPEN
        else:
            tries = not self.circuit.closed
            self._tried |= tries
            try:
                text = await self.circuit.call_async(self._ask, self._api, prompt(persona, context, message))
                return Text(text, "api", Reason.NONE, context.used)
            except _Failed as failed:
                why = failed.reason
            finally:
                if tries:
                    self._tried = False
        text, used = write(persona, context, message)
        return Text(text, "template", why, used)

    async def _ask(self, api: TextApi, messages: Messages) -> str:
        """Raises _Failed for whatever keeps the API from writing a text."""
        body = {"model": api.model, "messages": messages, "max_tokens": ANSWER_TOKENS}
        url = f"{api.url.rstrip('/')}/v1/chat/completions"
        try:
            async with asyncio.timeout(DEADLINE_S):
                async for attempt in stamina.retry_context(
                    on=lambda error: isinstance(error, _Failed) and error.again,
                    attempts=_ATTEMPTS,
                    timeout=DEADLINE_S,
                    wait_initial=0.05,
                    wait_max=0.2,
                    wait_jitter=0.05,
                ):
                    with attempt:
                        return await self._attempt(url, body)
        except TimeoutError as error:
            raise _Failed(Reason.LATE, again=False) from error
        raise AssertionError("stamina raises the last attempt's error")

    async def _attempt(self, url: str, body: dict[str, object]) -> str:
        try:
            async with self._client.stream("POST", url, json=body) as response:
                if response.status_code != 200:
                    busy = response.status_code == 429 or response.status_code >= 500
                    raise _Failed(Reason.REFUSED, again=busy, of_api=response.status_code not in _OF_THE_MESSAGE)
                return _text_of(await _bounded(response))
        except httpx.TimeoutException as error:
            raise _Failed(Reason.LATE, again=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Failed(Reason.UNREACHABLE, again=isinstance(error, httpx.TransportError)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _bounded(response: httpx.Response) -> bytes:
    """The body as it came, of which no more than a megabyte is ever held."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > _LARGEST_ANSWER_BYTES:
            raise _Failed(Reason.UNUSABLE, again=False)
    return bytes(body)


def _text_of(body: bytes) -> str:
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _Failed(Reason.UNUSABLE, again=True) from error
    # Half a surrogate pair, or a NUL, can neither be stored nor sent on.
    clean = text.encode("utf-8", "replace").decode().replace("\0", "").strip() if isinstance(text, str) else ""
    if not clean:
        raise _Failed(Reason.UNUSABLE, again=True)
    return clean[:_MOST_CHARACTERS]
