"""Check a running system's HTTP contract from outside, by the requests that the plan declares."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from collectors.contract_checks import (
    AnswersDifferCheck,
    ContractCheck,
    NoInternalsCheck,
    OpenApiCheck,
    ProblemDetailsCheck,
    RequestsCheck,
    read_contract_checks,
)
from collectors.http_requests import (
    MISSING,
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
from collectors.openapi import Conformity, conformity, operations_of
from evidence.measurement import AttachmentContent, LeftOut, Measurement, outcome_of_checks
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, attached_json
from evidence.results import Check, ContractResult
from processes.errors import CollectError, IntegrityError
from processes.target import Target

_ANSWER_WITHIN_S = 10.0
_EXCHANGES = "contract-exchanges.jsonl"
_CHECKS = "contract-checks.json"

_INTERNALS = {
    "a stack trace": r"Traceback \(most recent call last\)|\bat [\w.$]+\([\w.]+:\d+\)",
    "a source file": r"File \"[^\"]+\", line \d+|[\w./-]+\.py\b|site-packages",
    "an exception's name": r"\b(?!HTTPValidationError)[A-Z]\w+(?:Error|Exception)\b",
    "an object's address": r"<[\w. ]+ object at 0x[0-9a-f]+>",
    "SQL": r"(?i)\b(?:select .+ from|insert into|update \w+ set|delete from) ",
}


def check_contract(target: Target, checks: Sequence[Mapping[str, Any]]) -> Measurement:
    """Make the declared checks of ``target`` one after the other; returns a ContractResult.

    ``openapi`` checks are made last, because they also judge the answers that the others got. A request without an
    answer within 10 s fails its check. Raises UsageError for a wrong contract and CollectError when nothing answers
    at the target's address.
    """
    declared = read_contract_checks(checks)
    started_at = datetime.now(UTC)
    with open_client(target.url) as client:
        _require_reachable(client, target)
        conversation = Conversation(over(client, _ANSWER_WITHIN_S))
        _checked(declared, conversation)
    attachments = {
        _EXCHANGES: "".join(json.dumps(exchange.record()) + "\n" for exchange in conversation.exchanges).encode(),
        _CHECKS: json.dumps({"checks": [check.model_dump(mode="json") for check in declared]}, indent=1).encode(),
    }
    result, left_out = result_of(attachments)
    return Measurement(
        result=result,
        outcome=outcome_of_checks(result),
        summary=f"{result.passed} of {result.checks} contract checks of {target.name} hold "
        f"({result.requests} requests)",
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"target": target.name, "answer_within_s": _ANSWER_WITHIN_S},
        tools={"httpx": httpx.__version__},
        left_out=left_out,
        attachments=[
            AttachmentContent(_EXCHANGES, "application/jsonl", attachments[_EXCHANGES]),
            AttachmentContent(_CHECKS, "application/json", attachments[_CHECKS]),
        ],
    )


def result_of(attachments: Attached) -> tuple[ContractResult, list[LeftOut]]:
    """The result of the recorded exchanges: the same checks, asked of them. Raises UnrecordedError, IntegrityError."""
    declared = read_contract_checks(attached_json(attachments, _CHECKS)["checks"])
    lines = attached(attachments, _EXCHANGES).decode().split("\n")[:-1]
    exchanges = [read_exchange(json.loads(line)) for line in lines]
    conversation = Conversation(played_back(exchanges))
    details, left_out = _checked(declared, conversation)
    if len(conversation.exchanges) != len(exchanges):
        raise IntegrityError(f"{len(exchanges)} exchanges were recorded, the checks need {len(conversation.exchanges)}")
    passed = sum(detail.passed for detail in details)
    result = ContractResult(
        checks=len(details),
        passed=passed,
        failed=len(details) - passed,
        requests=len(exchanges),
        details=details,
    )
    return result, left_out


def replay_contract(_record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of a contract again. Raises UnrecordedError and IntegrityError."""
    result, _ = result_of(attachments)
    return Recomputed(result, outcome_of_checks(result))


def _checked(declared: Sequence[ContractCheck], conversation: Conversation) -> tuple[list[Check], list[LeftOut]]:
    """What each check found, in the order of their declaration, and what none of them looked at."""
    left_out: list[LeftOut] = []
    details: dict[str, Check] = {}
    for check in sorted(declared, key=lambda check: isinstance(check, OpenApiCheck)):
        problems, observed = _problems(check, conversation, left_out)
        text = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        details[check.name] = Check(name=check.name, passed=not problems, observed=text or observed)
    return [details[check.name] for check in declared], left_out


def _require_reachable(client: httpx.Client, target: Target) -> None:
    try:
        client.get("/", timeout=_ANSWER_WITHIN_S)
    except httpx.TransportError as error:
        raise CollectError(f"the target {target.name} cannot be reached at {target.url}: {error}") from error


def _problems(check: ContractCheck, conversation: Conversation, left_out: list[LeftOut]) -> tuple[list[str], str]:
    """What is wrong (empty: the check holds), and what was seen when nothing is."""
    match check:
        case RequestsCheck():
            return _requests(check.requests, conversation)
        case AnswersDifferCheck():
            return _answers_differ(check, conversation)
        case ProblemDetailsCheck():
            return _problem_details(check, conversation)
        case NoInternalsCheck():
            return _no_internals(check, conversation)
        case OpenApiCheck():
            return _openapi(check, conversation, left_out)


def _requests(requests: Iterable[DeclaredRequest], conversation: Conversation) -> tuple[list[str], str]:
    seen: list[str] = []
    for request in requests:
        exchange, problems = conversation.ask(request)
        if problems:  # what follows may need what this request did not save
            return problems, ""
        seen.append(f"{exchange.name} → {exchange.status}")
    return [], ", ".join(seen)


def _answers_differ(check: AnswersDifferCheck, conversation: Conversation) -> tuple[list[str], str]:
    values: list[Any] = []
    for body in (*check.bodies, check.bodies[0]):
        request = DeclaredRequest(
            method=check.method, path=check.path, headers=check.headers, body=body, has=(check.field,)
        )
        exchange, problems = conversation.ask(request)
        if problems:
            return problems, ""
        values.append(value_at(exchange.json, check.field))
    *values, again = values
    problems = [
        f"body {first + 1} and body {second + 1} both get {check.field} = {shown(value)}"
        for first, value in enumerate(values)
        for second in range(first + 1, len(values))
        if same_json(value, values[second])
    ]
    if check.repeatable and not same_json(values[0], again):
        problems.append(f"the same body got {shown(values[0])}, then {shown(again)}: {check.field} depends on chance")
    return problems, f"{len(values)} bodies get {len(values)} different values of {check.field}"


def _problem_details(check: ProblemDetailsCheck, conversation: Conversation) -> tuple[list[str], str]:
    problems: list[str] = []
    for request in check.requests:
        exchange = conversation.send(request)
        problems += _unlike_the_error(exchange, request) or _unlike_problem_details(exchange)
    return problems, f"{len(check.requests)} errors in the form of RFC 9457"


def _unlike_the_error(exchange: Exchange, request: DeclaredRequest) -> list[str]:
    """In what an answer is not the declared error, or not an error at all."""
    if exchange.status is None:
        return [f"{exchange.name}: {exchange.error}"]
    if exchange.status < 400 or (request.expect and exchange.status not in request.expect):
        expected = " or ".join(map(str, request.expect)) or "an error"
        return [f"{exchange.name} answered {exchange.status}, expected {expected}"]
    return []


def _unlike_problem_details(exchange: Exchange) -> list[str]:
    name = f"{exchange.name} {exchange.status}"
    if exchange.media_type != "application/problem+json":
        return [f"{name} is {exchange.media_type or 'of no type'}, not application/problem+json"]
    if not isinstance(exchange.json, dict):
        return [f"{name}: the body is no JSON object"]
    problems = [f"{name}: {field} is no text" for field in ("type", "title") if not _is_text(exchange.json, field)]
    if exchange.json.get("status") != exchange.status:
        problems.append(f"{name}: status says {shown(exchange.json.get('status'))}")
    return problems


def _is_text(answer: Mapping[str, Any], field: str) -> bool:
    return isinstance(answer.get(field, "about:blank" if field == "type" else None), str)


def _no_internals(check: NoInternalsCheck, conversation: Conversation) -> tuple[list[str], str]:
    problems: list[str] = []
    for request in check.requests:
        problems += _unlike_the_error(conversation.send(request), request)
    errors = [exchange for exchange in conversation.exchanges if (exchange.status or 0) >= 400]
    for exchange in errors:
        shows = [what for what, pattern in _INTERNALS.items() if re.search(pattern, exchange.text)]
        shows += [repr(text) for text in check.never if text in exchange.text]
        problems += [f"{exchange.name} {exchange.status} shows {what}" for what in shows]
    return problems, f"{len(errors)} error answers looked through"


def _openapi(check: OpenApiCheck, conversation: Conversation, left_out: list[LeftOut]) -> tuple[list[str], str]:
    before = list(conversation.exchanges)
    exchange, problems = conversation.ask(DeclaredRequest(path=check.path, headers=check.headers))
    if problems:
        return problems, ""
    document = exchange.json
    if document is MISSING or not isinstance(document, dict) or not (operations := operations_of(document)):
        return [f"{check.path} documents no operation"], ""
    if not str(document.get("openapi", "")).startswith("3."):
        return [f"{check.path} is no OpenAPI 3 document"], ""
    for operation in operations:
        if operation.needs_nothing:
            conversation.send(DeclaredRequest(path=operation.template, headers=check.headers))
    judged = [e for e in (*before, *conversation.exchanges[len(before) + 1 :]) if e.status is not None]
    problems = [f"{e.name}: {e.error}" for e in conversation.exchanges[len(before) + 1 :] if e.status is None]
    conformities: list[Conformity] = [conformity(document, exchange) for exchange in judged]
    problems += [problem for found in conformities for problem in found.problems]
    called = {found.operation.name for found in conformities if found.operation}
    not_called = [operation.name for operation in operations if operation.name not in called]
    if not_called:
        why = f"no check calls them, and they cannot be called without knowing more: {', '.join(not_called)}"
        left_out.append(LeftOut("operations of the OpenAPI document", len(not_called), why))
    with_schema = sum(found.schema_checked for found in conformities)
    if not with_schema:
        problems.append("no answer had a declared JSON schema to conform to")
    return (
        list(dict.fromkeys(problems)),
        f"{len(called)} of {len(operations)} operations called; {len(judged)} answers as documented, "
        f"{with_schema} of them against a JSON schema",
    )
