"""Rehearse the failure of an external API: the candidate must answer in time, from its fallback, and not by chance."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from collectors.faulty_server import Fault, FaultyServer, faulty_server
from collectors.http_requests import (
    MISSING,
    Conversation,
    DeclaredRequest,
    Exchange,
    open_client,
    same_json,
    shown,
    value_at,
)
from evidence.measurement import AttachmentContent, Measurement
from evidence.results import Check, DrillResult
from processes.errors import CollectError, UsageError
from processes.target import Target

_ROUNDS = 3
_ANSWER_OF_CHAT_API: JsonValue = {
    "id": "drill",
    "object": "chat.completion",
    "created": 0,
    "model": "drill",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "{text}"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class ApiJourney(BaseModel):
    """The requests of the drill, and how the last one's answer tells where its text came from.

    ``api_answer`` is what the API answers when it works (OpenAI's chat completion unless stated); ``{text}`` in it
    becomes a random text. ``text_field`` of the last answer must then hold that text and ``when_healthy`` must hold;
    ``when_faulty`` must hold under every fault.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[DeclaredRequest, ...] = Field(min_length=1)
    text_field: str
    when_healthy: dict[str, JsonValue] = Field(min_length=1)
    when_faulty: dict[str, JsonValue] = Field(min_length=1)
    api_answer: JsonValue = _ANSWER_OF_CHAT_API


@dataclass
class _Leg:
    """One start of the candidate beside one behaviour of the API."""

    name: str
    checks: list[Check] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    errors: int = 0
    recovery_ms: float = 0.0

    def check(self, name: str, passed: bool, observed: str) -> None:
        self.checks.append(Check(name=f"{self.name}: {name}", passed=passed, observed=observed))


def drill_external_api(
    start_candidate: Callable[[str], AbstractContextManager[Target]],
    faults: Sequence[Fault],
    *,
    journey: Mapping[str, Any],
    answer_within_ms: float,
    work_dir: Path,
) -> Measurement:
    """Start the candidate beside a healthy API and then beside each fault; returns a DrillResult.

    ``start_candidate`` starts a fresh candidate that uses the API at the URL it is given; ``journey`` is an
    ``ApiJourney``. Every leg makes the journey three times. Each request must be answered 2xx within
    ``answer_within_ms``, from the API's text when it works and from the fallback when it does not, and the API must
    have been called in every leg. ``recovery_ms`` is the time from the start of a faulty leg to its last bad answer,
    the longest of all legs; 0.0 when no answer was bad. Raises UsageError for a wrong journey or no faults.
    """
    declared = _read_journey(journey, faults)
    work_dir.mkdir(parents=True, exist_ok=True)
    started_at = datetime.now(UTC)
    healthy = _run_leg(start_candidate, None, declared, answer_within_ms)
    faulty = [_run_leg(start_candidate, fault, declared, answer_within_ms) for fault in dict.fromkeys(faults)]
    legs = [healthy, *faulty]
    exchanges = work_dir / "external-api-drill.jsonl"
    exchanges.write_text("".join(_lines(legs)))
    steps = [check for leg in legs for check in leg.checks]
    passed = sum(step.passed for step in steps)
    requests, errors = sum(len(leg.exchanges) for leg in legs), sum(leg.errors for leg in legs)
    if not requests:
        raise CollectError("the drill made no request")
    return Measurement(
        result=DrillResult(
            drill="external-api",
            steps=steps,
            passed=passed,
            failed=len(steps) - passed,
            recovery_ms=max(leg.recovery_ms for leg in faulty),
            requests=requests,
            errors=errors,
        ),
        outcome="passed" if passed == len(steps) else "failed",
        summary=f"external API {', '.join(dict.fromkeys(faults))}: {requests - errors} of {requests} requests "
        f"answered within {answer_within_ms:.0f} ms, {passed} of {len(steps)} checks hold",
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"faults": ", ".join(faults), "answer_within_ms": answer_within_ms, "rounds": _ROUNDS},
        tools={"httpx": httpx.__version__},
        attachments=[AttachmentContent(exchanges.name, "application/jsonl", exchanges.read_bytes())],
    )


def _lines(legs: Sequence[_Leg]) -> Iterator[str]:
    for leg in legs:
        for exchange in leg.exchanges:
            yield json.dumps({"leg": leg.name, **exchange.record()}) + "\n"


def _read_journey(journey: Mapping[str, Any], faults: Sequence[Fault]) -> ApiJourney:
    if not faults:
        raise UsageError("a drill of an external API needs at least one fault")
    try:
        return ApiJourney.model_validate(dict(journey))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"requests of the external API drill, {where}: {first['msg']}") from error


def _run_leg(
    start_candidate: Callable[[str], AbstractContextManager[Target]],
    fault: Fault | None,
    journey: ApiJourney,
    answer_within_ms: float,
) -> _Leg:
    leg = _Leg(fault or "healthy")
    text = f"drill {secrets.token_hex(8)}"
    answer = json.dumps(journey.api_answer).replace("{text}", text).encode()
    with (
        faulty_server(answer, fault) as server,
        start_candidate(server.url) as candidate,
        open_client(candidate.url) as client,
    ):
        before = server.calls
        answers = _make_journeys(leg, client, journey, answer_within_ms)
        _judge_answers(leg, answers, journey.when_faulty if fault else journey.when_healthy, journey, text, fault)
        _judge_calls(leg, server, before)
    return leg


def _make_journeys(leg: _Leg, client: httpx.Client, journey: ApiJourney, answer_within_ms: float) -> list[Any]:
    """Go through the journey three times; returns the last answer of each one that got that far, and judges times."""
    answers: list[Any] = []
    problems: list[str] = []
    slowest_ms = 0.0
    started_s = time.monotonic()
    for _ in range(_ROUNDS):
        conversation = Conversation(client, within_s=answer_within_ms / 1000)
        for request in journey.steps:
            exchange, wrong = conversation.ask(request)
            leg.exchanges.append(exchange)
            slowest_ms = max(slowest_ms, exchange.elapsed_ms)
            if exchange.status is not None and exchange.elapsed_ms > answer_within_ms:
                wrong = [*wrong, f"{exchange.name} took {exchange.elapsed_ms:.0f} ms"]
            if wrong:
                leg.errors += 1
                leg.recovery_ms = (time.monotonic() - started_s) * 1000
                problems += wrong
                break
        else:
            answers.append(exchange.json)
    made = len(leg.exchanges)
    seen = f"{made - leg.errors} of {made} requests, the slowest in {slowest_ms:.0f} ms"
    leg.check(
        f"every request is answered within {answer_within_ms:.0f} ms",
        not problems and len(answers) == _ROUNDS,
        "; ".join([seen, *problems[:3]]),
    )
    return answers


def _judge_answers(
    leg: _Leg, answers: list[Any], wanted: Mapping[str, JsonValue], journey: ApiJourney, text: str, fault: Fault | None
) -> None:
    observed = [{path: value_at(answer, path) for path in wanted} for answer in answers]
    fitting = sum(all(_same_value(seen[path], value) for path, value in wanted.items()) for seen in observed)
    distinct = dict.fromkeys(f"{path} = {shown(value)}" for seen in observed for path, value in seen.items())
    source = "the fallback" if fault else "the API"
    leg.check(
        f"answers come from {source}",
        fitting == _ROUNDS,
        f"{fitting} of {_ROUNDS}: {', '.join(distinct) or 'no answers'}",
    )
    texts = [value_at(answer, journey.text_field) for answer in answers]
    if fault is None:
        with_text = sum(isinstance(seen, str) and text in seen for seen in texts)
        leg.check("the API's text is used", with_text == _ROUNDS, f"{with_text} of {_ROUNDS} answers hold it")
    else:
        filled = sum(isinstance(seen, str) and bool(seen.strip()) and text not in seen for seen in texts)
        leg.check("the fallback has a text", filled == _ROUNDS, f"{filled} of {_ROUNDS} answers hold one")


def _same_value(observed: Any, wanted: JsonValue) -> bool:
    """Whether an answer's field has the declared value; a missing one never has."""
    return observed is not MISSING and same_json(observed, wanted)


def _judge_calls(leg: _Leg, server: FaultyServer, before: int) -> None:
    calls = server.calls - before
    leg.check("the API is called", calls > 0, f"{calls} calls in {_ROUNDS} rounds")
