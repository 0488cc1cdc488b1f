import pytest

from collectors.http_requests import MISSING, Exchange
from collectors.openapi import conformity, operations_of

_DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/things": {
            "get": {"responses": {"200": {"description": ""}}, "parameters": [{"name": "q", "required": True}]}
        },
        "/things/latest": {"get": {"responses": {"2XX": {"description": ""}}}},
        "/things/{id}": {
            "get": {
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "404": {"$ref": "#/components/responses/Gone"},
                }
            }
        },
    },
    "components": {
        "schemas": {"Thing": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}},
        "responses": {"Gone": {"content": {"application/problem+json": {"schema": {"type": "object"}}}}},
    },
}


def _seen(path: str, status: int, answer: object = MISSING, media_type: str = "application/json") -> Exchange:
    return Exchange("GET", path, status, media_type, "", answer, 1.0)


def test_an_answer_that_conforms_to_its_schema_has_no_problem() -> None:
    found = conformity(_DOCUMENT, _seen("/things/7?full=1", 200, {"id": 7}))
    assert (found.problems, found.schema_checked) == ((), True)


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (_seen("/things/7", 200, {"id": "7"}), "is not of type"),
        (_seen("/things/7", 200, {}), "required property"),
        (_seen("/things/7", 200), "no JSON"),
        (_seen("/things/7", 500, {}), "documented: 200, 404"),
        (_seen("/things/7", 404, {}), "documented: application/problem+json"),
        (_seen("/secret", 200, {}), "not documented"),
    ],
)
def test_an_answer_unlike_the_document_is_a_problem(seen: Exchange, says: str) -> None:
    assert any(says in problem for problem in conformity(_DOCUMENT, seen).problems)


def test_a_literal_path_goes_before_a_template() -> None:
    found = conformity(_DOCUMENT, _seen("/things/latest", 204))
    assert found.operation is not None
    assert found.operation.template == "/things/latest"
    assert found.problems == ()


def test_only_operations_that_need_nothing_are_called_unasked() -> None:
    assert [o.template for o in operations_of(_DOCUMENT) if o.needs_nothing] == ["/things/latest"]
