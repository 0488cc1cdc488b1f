"""Whether exchanges are what an OpenAPI 3 document says they are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import referencing

from collectors.http_requests import MISSING, Exchange, value_at

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Operation:
    """One operation of the document: ``template`` is its path with ``{parameters}``."""

    method: str
    template: str
    declared: Mapping[str, Any]

    @property
    def name(self) -> str:
        """How messages refer to it."""
        return f"{self.method} {self.template}"

    @property
    def needs_nothing(self) -> bool:
        """Whether it can be called safely: a GET without path parameters or required others."""
        parameters = self.declared.get("parameters", [])
        required = any(not isinstance(p, Mapping) or p.get("required") or "$ref" in p for p in parameters)
        return self.method == "GET" and "{" not in self.template and not required


@dataclass(frozen=True)
class Conformity:
    """``problems`` is empty for an exchange that conforms; ``schema_checked`` tells whether a schema was declared."""

    operation: Operation | None
    problems: tuple[str, ...]
    schema_checked: bool


def operations_of(document: Mapping[str, Any]) -> list[Operation]:
    """The operations of a document; empty when it has none."""
    return [
        Operation(method.upper(), template, item[method])
        for template, item in document.get("paths", {}).items()
        for method in _METHODS
        if method in item
    ]


def conformity(document: Mapping[str, Any], exchange: Exchange) -> Conformity:
    """Compare one exchange that has a status with the document (OpenAPI 3.1: schemas are JSON Schema 2020-12)."""
    operation = _operation_of(document, exchange)
    if operation is None:
        if exchange.status in (404, 405):  # of a path that the document does not claim to have
            return Conformity(None, (), schema_checked=False)
        return Conformity(None, (f"{exchange.name} is answered and not documented",), schema_checked=False)
    response = _response_of(document, operation, exchange.status or 0)
    if response is None:
        said = ", ".join(operation.declared.get("responses", {})) or "none"
        problem = f"{operation.name} answered {exchange.status}, documented: {said}"
        return Conformity(operation, (problem,), schema_checked=False)
    contents = response.get("content", {})
    if not contents:
        return Conformity(operation, (), schema_checked=False)
    content = contents.get(exchange.media_type)
    if content is None:
        said = ", ".join(contents)
        problem = f"{operation.name} {exchange.status} is {exchange.media_type or 'of no type'}, documented: {said}"
        return Conformity(operation, (problem,), schema_checked=False)
    schema = content.get("schema")
    if not schema or "json" not in exchange.media_type:
        return Conformity(operation, (), schema_checked=False)
    return Conformity(operation, tuple(_schema_problems(document, schema, operation, exchange)), schema_checked=True)


def _schema_problems(
    document: Mapping[str, Any], schema: Mapping[str, Any], operation: Operation, exchange: Exchange
) -> Iterator[str]:
    name = f"{operation.name} {exchange.status}"
    if exchange.json is MISSING:
        yield f"{name}: the body is no JSON"
        return
    whole = {"components": document.get("components", {}), "allOf": [schema]}
    validator = jsonschema.Draft202012Validator(whole, registry=referencing.Registry())
    try:
        for error in validator.iter_errors(exchange.json):
            yield f"{name}: {error.json_path} {error.message}"[:300]
    except (referencing.exceptions.Unresolvable, jsonschema.exceptions.SchemaError) as error:
        yield f"{name}: the declared schema cannot be used: {error}"[:300]


def _operation_of(document: Mapping[str, Any], exchange: Exchange) -> Operation | None:
    path = exchange.path.partition("?")[0]
    fitting = [
        operation
        for operation in operations_of(document)
        if operation.method == exchange.method and re.fullmatch(_pattern(operation.template), path)
    ]
    return min(fitting, key=lambda operation: operation.template.count("{"), default=None)


def _pattern(template: str) -> str:
    return re.sub(r"\\\{.+?\\\}", "[^/]+", re.escape(template))


def _response_of(document: Mapping[str, Any], operation: Operation, status: int) -> Mapping[str, Any] | None:
    responses = operation.declared.get("responses", {})
    for key in (str(status), f"{status // 100}XX", "default"):
        if key in responses:
            response: Mapping[str, Any] = responses[key]
            if reference := response.get("$ref"):
                found = value_at(document, reference.removeprefix("#/").replace("/", "."))
                return found if isinstance(found, Mapping) else None
            return response
    return None
