"""Rehearse the failure of an external API: the candidate must answer in time, from its fallback, and not by chance."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from collectors.faulty_server import Fault, faulty_server
from collectors.http_requests import (
    MISSING,
    Ask,
    Conversation,
    DeclaredRequest,
    Exchange,
    open_client,
    over,
    played_back,
    read_exchange,
    same_json,
    shown,
    value_at,
)
from evidence.measurement import AttachmentContent, Measurement, outcome_of_checks
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, attached_json
from evidence.results import Check, DrillResult
from processes.errors import CollectError, IntegrityError, UsageError
from processes.target import Target

_ROUNDS = 3
_EXCHANGES = "external-api-drill.jsonl"
_LEGS = "external-api-legs.json"
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
    """One start of the candidate beside one behaviour of the API, as it was observed.

    ``ended_ms`` says of each exchange how long after the start of the leg it was over; ``text`` is what the API said
    when it worked, ``calls`` how often it was called.
    """

    fault: Fault | None
    text: str
    calls: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    ended_ms: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How results refer to it."""
        return self.fault or "healthy"


@dataclass
class _Judged:
    """What is found about a leg."""

    name: str
    checks: list[Check] = field(default_factory=list)
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
) -> Measurement:
    """Start the candidate beside a healthy API and then beside each fault; returns a DrillResult.

    ``start_candidate`` starts a fresh candidate that uses the API at the URL it is given; ``journey`` is an
    ``ApiJourney``. Every leg makes the journey three times. Each request must be answered 2xx within
    ``answer_within_ms``, from the API's text when it works and from the fallback when it does not, and the API must
    have been called in every leg. ``recovery_ms`` is the time from the start of a faulty leg to its last bad answer,
    the longest of all legs; 0.0 when no answer was bad. Raises UsageError for a wrong journey or no faults.
    """
    declared = _read_journey(journey, faults)
    started_at = datetime.now(UTC)
    observing: tuple[Fault | None, ...] = (None, *dict.fromkeys(faults))
    legs = [_run_leg(start_candidate, fault, declared, answer_within_ms) for fault in observing]
    if not any(leg.exchanges for leg in legs):
        raise CollectError("the drill made no request")
    attachments = {_EXCHANGES: "".join(_lines(legs)).encode(), _LEGS: _described(declared, legs, answer_within_ms)}
    result = result_of(attachments)
    return Measurement(
        result=result,
        outcome=outcome_of_checks(result),
        summary=f"external API {', '.join(dict.fromkeys(faults))}: {result.requests - result.errors} of "
        f"{result.requests} requests answered within {answer_within_ms:.0f} ms, "
        f"{result.passed} of {len(result.steps)} checks hold",
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"faults": ", ".join(faults), "answer_within_ms": answer_within_ms, "rounds": _ROUNDS},
        tools={"httpx": httpx.__version__},
        attachments=[
            AttachmentContent(_EXCHANGES, "application/jsonl", attachments[_EXCHANGES]),
            AttachmentContent(_LEGS, "application/json", attachments[_LEGS]),
        ],
    )


def result_of(attachments: Attached) -> DrillResult:
    """The result of the recorded exchanges. Raises UnrecordedError, and IntegrityError when they do not fit."""
    described = attached_json(attachments, _LEGS)
    journey = ApiJourney.model_validate(described["journey"])
    legs = [_Leg(leg["fault"], leg["text"], leg["calls"]) for leg in described["legs"]]
    by_name = {leg.name: leg for leg in legs}
    for line in attached(attachments, _EXCHANGES).decode().split("\n")[:-1]:
        entry = json.loads(line)
        by_name[entry["leg"]].exchanges.append(read_exchange(entry))
        by_name[entry["leg"]].ended_ms.append(entry["ended_ms"])
    judged = [_judge_leg(leg, journey, described["answer_within_ms"]) for leg in legs]
    steps = [check for one in judged for check in one.checks]
    passed = sum(step.passed for step in steps)
    return DrillResult(
        drill="external-api",
        steps=steps,
        passed=passed,
        failed=len(steps) - passed,
        recovery_ms=max(one.recovery_ms for one, leg in zip(judged, legs, strict=True) if leg.fault),
        requests=sum(len(leg.exchanges) for leg in legs),
        errors=sum(one.errors for one in judged),
    )


def replay_external_api(_record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of the drill again. Raises UnrecordedError and IntegrityError."""
    result = result_of(attachments)
    return Recomputed(result, outcome_of_checks(result))


def _lines(legs: Sequence[_Leg]) -> Iterator[str]:
    for leg in legs:
        for exchange, ended_ms in zip(leg.exchanges, leg.ended_ms, strict=True):
            yield json.dumps({"leg": leg.name, "ended_ms": ended_ms, **exchange.record()}) + "\n"


def _described(journey: ApiJourney, legs: Sequence[_Leg], answer_within_ms: float) -> bytes:
    described = {
        "journey": journey.model_dump(mode="json"),
        "answer_within_ms": answer_within_ms,
        "legs": [{"fault": leg.fault, "text": leg.text, "calls": leg.calls} for leg in legs],
    }
    return json.dumps(described, indent=1).encode()


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
    leg = _Leg(fault, f"drill {secrets.token_hex(8)}")
    answer = json.dumps(journey.api_answer).replace("{text}", leg.text).encode()
    with (
        faulty_server(answer, fault) as server,
        start_candidate(server.url) as candidate,
        open_client(candidate.url) as client,
    ):
        before, started_s = server.calls, time.monotonic()
        asked = over(client, answer_within_ms / 1000)

        def ask(request: DeclaredRequest, saved: Mapping[str, JsonValue]) -> Exchange:
            leg.exchanges.append(asked(request, saved))
            leg.ended_ms.append((time.monotonic() - started_s) * 1000)
            return leg.exchanges[-1]

        for _ in _rounds(ask, journey, answer_within_ms):
            pass
        leg.calls = server.calls - before
    return leg


def _rounds(ask: Ask, journey: ApiJourney, answer_within_ms: float) -> Iterator[tuple[list[Exchange], list[str]]]:
    """Go through the journey three times; yields of each the exchanges, and what was wrong with the last one."""
    for _ in range(_ROUNDS):
        conversation, wrong = Conversation(ask), list[str]()
        for request in journey.steps:
            exchange, wrong = conversation.ask(request)
            if exchange.status is not None and exchange.elapsed_ms > answer_within_ms:
                wrong = [*wrong, f"{exchange.name} took {exchange.elapsed_ms:.0f} ms"]
            if wrong:
                break
        yield conversation.exchanges, wrong


def _judge_leg(leg: _Leg, journey: ApiJourney, answer_within_ms: float) -> _Judged:
    judged, answers, problems, made = _Judged(leg.name), list[Any](), list[str](), 0
    for exchanges, wrong in _rounds(played_back(leg.exchanges), journey, answer_within_ms):
        made += len(exchanges)
        if wrong:
            judged.errors += 1
            judged.recovery_ms = leg.ended_ms[made - 1]
            problems += wrong
        else:
            answers.append(exchanges[-1].json)
    if made != len(leg.exchanges):
        raise IntegrityError(f"{leg.name}: {len(leg.exchanges)} exchanges were recorded, the journey needs {made}")
    slowest_ms = max((exchange.elapsed_ms for exchange in leg.exchanges), default=0.0)
    seen = f"{made - judged.errors} of {made} requests, the slowest in {slowest_ms:.0f} ms"
    judged.check(
        f"every request is answered within {answer_within_ms:.0f} ms",
        not problems and len(answers) == _ROUNDS,
        "; ".join([seen, *problems[:3]]),
    )
    _judge_answers(judged, answers, journey, leg)
    judged.check("the API is called", leg.calls > 0, f"{leg.calls} calls in {_ROUNDS} rounds")
    return judged


def _judge_answers(judged: _Judged, answers: Sequence[Any], journey: ApiJourney, leg: _Leg) -> None:
    wanted = journey.when_faulty if leg.fault else journey.when_healthy
    observed = [{path: value_at(answer, path) for path in wanted} for answer in answers]
    fitting = sum(all(_same_value(seen[path], value) for path, value in wanted.items()) for seen in observed)
    distinct = dict.fromkeys(f"{path} = {shown(value)}" for seen in observed for path, value in seen.items())
    source = "the fallback" if leg.fault else "the API"
    judged.check(
        f"answers come from {source}",
        fitting == _ROUNDS,
        f"{fitting} of {_ROUNDS}: {', '.join(distinct) or 'no answers'}",
    )
    texts = [value_at(answer, journey.text_field) for answer in answers]
    if leg.fault is None:
        with_text = sum(isinstance(seen, str) and leg.text in seen for seen in texts)
        judged.check("the API's text is used", with_text == _ROUNDS, f"{with_text} of {_ROUNDS} answers hold it")
    else:
        filled = sum(isinstance(seen, str) and bool(seen.strip()) and leg.text not in seen for seen in texts)
        judged.check("the fallback has a text", filled == _ROUNDS, f"{filled} of {_ROUNDS} answers hold one")


def _same_value(observed: Any, wanted: JsonValue) -> bool:
    """Whether an answer's field has the declared value; a missing one never has."""
    return observed is not MISSING and same_json(observed, wanted)
