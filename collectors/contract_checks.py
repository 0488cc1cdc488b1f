"""The checks that a plan's contract may list. Each is declared with its own requests: any HTTP service fits."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from collectors.http_requests import DeclaredRequest, LocalPath
from processes.errors import UsageError


class _Check(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="how reports call it")


class RequestsCheck(_Check):
    """Requests made one after the other; every answer must be as declared."""

    check: Literal["requests"]
    requests: tuple[DeclaredRequest, ...] = Field(min_length=1)


class AnswersDifferCheck(_Check):
    """The same request with different bodies: every body must get its own value of ``field``.

    The first body is sent once more at the end: unless ``repeatable`` is false it must get the same value again, so
    that the differences come from the inputs and not from chance.
    """

    check: Literal["answers-differ"]
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    path: LocalPath
    headers: dict[str, str] = Field(default_factory=dict)
    bodies: tuple[JsonValue, ...] = Field(min_length=2)
    field: str
    repeatable: bool = True


class ProblemDetailsCheck(_Check):
    """Every request must be answered by an error in the form of RFC 9457 (``application/problem+json``)."""

    check: Literal["problem-details"]
    requests: tuple[DeclaredRequest, ...] = Field(min_length=1)


class NoInternalsCheck(_Check):
    """No error answer, of these requests or of any made before, may show the inside of the service.

    Looked for: stack traces, source files, exception names, SQL, and every text in ``never``.
    """

    check: Literal["no-internals"]
    requests: tuple[DeclaredRequest, ...] = Field(min_length=1)
    never: tuple[str, ...] = ()


class OpenApiCheck(_Check):
    """What the service answers is what its OpenAPI document says.

    Every GET that needs no parameter is called. Its answer, and every answer to the other checks' requests, must have
    a documented status, and conform to its JSON schema where one is declared.
    """

    check: Literal["openapi"]
    path: LocalPath = "/openapi.json"
    headers: dict[str, str] = Field(default_factory=dict)


ContractCheck = Annotated[
    RequestsCheck | AnswersDifferCheck | ProblemDetailsCheck | NoInternalsCheck | OpenApiCheck,
    Field(discriminator="check"),
]

_CHECKS: TypeAdapter[tuple[ContractCheck, ...]] = TypeAdapter(tuple[ContractCheck, ...])


def read_contract_checks(declared: Sequence[Mapping[str, Any]]) -> tuple[ContractCheck, ...]:
    """Checks as a plan lists them, validated. Raises UsageError for none, a wrong one, or a name used twice."""
    if not declared:
        raise UsageError("a contract needs at least one check")
    try:
        checks = _CHECKS.validate_python([dict(check) for check in declared])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"contract check {where}: {first['msg']}") from error
    names = [check.name for check in checks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"contract check names must be unique: {', '.join(twice)} is used twice")
    return checks
