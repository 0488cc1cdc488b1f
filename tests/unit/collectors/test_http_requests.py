import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collectors.http_requests import MISSING, DeclaredRequest, Exchange, problems_of_answer, same_json, value_at

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def _exchange(status: int | None, answer: object = MISSING) -> Exchange:
    return Exchange("GET", "/a", status, "application/json", "", answer, 1.0, "no answer" if status is None else None)


@given(_JSON, st.lists(st.text(alphabet="abc", min_size=1), min_size=1, max_size=4))
def test_a_value_is_found_where_it_was_put(value: object, names: list[str]) -> None:
    answer = value
    for name in reversed(names):
        answer = {name: answer}
    assert value_at(answer, ".".join(names)) is value


@pytest.mark.parametrize("path", ["b", "a.5", "a.x", "a.0.b.c", "a.-1"])
def test_a_field_that_is_not_there_is_missing_and_not_null(path: str) -> None:
    assert value_at({"a": [{"b": None}]}, path) is MISSING
    assert value_at({"a": [{"b": None}]}, "a.0.b") is None


def test_true_is_not_one() -> None:
    assert not same_json({"a": True}, {"a": 1})
    assert same_json({"a": 1, "b": 2}, {"b": 2, "a": 1})


def test_no_answer_is_never_what_was_expected() -> None:
    assert problems_of_answer(_exchange(None), DeclaredRequest(path="/a"), {})


@pytest.mark.parametrize(("status", "expect", "right"), [(204, (), True), (404, (), False), (404, (404,), True)])
def test_any_2xx_is_right_unless_statuses_are_listed(status: int, expect: tuple[int, ...], right: bool) -> None:
    request = DeclaredRequest(path="/a", expect=expect)
    assert (problems_of_answer(_exchange(status), request, {}) == []) is right


def test_an_answer_without_the_field_to_save_is_a_problem() -> None:
    request = DeclaredRequest(path="/a", save={"id": "session_id"})
    assert problems_of_answer(_exchange(200, {}), request, {}) == ["GET /a: session_id is missing"]


def test_saved_values_are_filled_into_what_an_answer_must_equal() -> None:
    request = DeclaredRequest(path="/a", equals={"id": "{id}"})
    assert problems_of_answer(_exchange(200, {"id": 7}), request, {"id": 7}) == []
    assert problems_of_answer(_exchange(200, {"id": "7"}), request, {"id": 7}) != []


@pytest.mark.parametrize("path", ["a", "//host/a", "http://host/a"])
def test_a_request_never_leaves_its_target(path: str) -> None:
    with pytest.raises(ValidationError):
        DeclaredRequest(path=path)
