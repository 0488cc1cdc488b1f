import math
from typing import Any

import pytest
from pydantic import ValidationError

from decision.criteria import Criterion, evaluate, problems_of
from tests.unit.decision.factories import soak_result, suite_result


def criterion(**limits: object) -> Criterion:
    return Criterion.model_validate(limits)


def test_a_limit_is_held_at_exactly_its_value() -> None:
    assert evaluate("pass_rate", criterion(at_least="98%"), suite_result(pass_rate=0.98)).holds == "yes"
    assert evaluate("pass_rate", criterion(at_least="98%"), suite_result(pass_rate=0.9799)).holds == "no"


def test_an_unknown_value_never_holds() -> None:
    assert evaluate("pass_rate", criterion(at_least=0), suite_result(pass_rate=None)).holds == "undetermined"


def test_nan_cannot_even_be_recorded() -> None:
    with pytest.raises(ValidationError):
        suite_result(pass_rate=math.nan)


def test_an_amount_that_falls_short_is_too_little() -> None:
    result = evaluate("hours_under_load", criterion(at_least=72), soak_result(hours_under_load=8.0))
    assert (result.holds, result.margin) == ("too-little", -64)


def test_an_undetermined_answer_is_neither_held_nor_missed() -> None:
    assert evaluate("verdict", criterion(equals="stable"), soak_result(verdict="not-proven")).holds == "undetermined"
    assert evaluate("verdict", criterion(equals="stable"), soak_result(verdict="leaking")).holds == "no"


def test_within_holds_between_its_ends() -> None:
    assert evaluate("tests", criterion(within=[90, 110]), suite_result(tests=100)).holds == "yes"
    assert evaluate("tests", criterion(within=[101, 110]), suite_result(tests=100)).holds == "no"


@pytest.mark.parametrize(
    ("criteria", "problem"),
    [
        ({"passrate": {"at_least": 1}}, "has no field 'passrate'"),
        ({"not_passed": {"equals": 0}}, "no single value"),
        ({"failed": {"equals": "none"}}, "is never none"),
        ({"failed": {"at_least": 2, "at_most": 1}}, "no value is at least 2 and at most 1"),
        ({"failed": {"all_of": [{"at_least": 2}, {"within": [0, 1]}]}}, "no value is at least 2 and at most 1"),
        ({"failed": {"all_of": [{"equals": 2}, {"equals": 1}]}}, "no value is at least 2 and at most 1"),
        ({"pass_rate": {"at_least": 98}}, "never above 1: 98 cannot be reached (a share: 98% is meant?)"),
        ({"failed": {"at_most": "-1%"}}, "never below 0"),
    ],
)
def test_a_criterion_that_nothing_could_satisfy_is_named(criteria: dict[str, object], problem: str) -> None:
    parsed = {name: Criterion.model_validate(limits) for name, limits in criteria.items()}
    assert problem in problems_of("test-suite", parsed)[0]


def test_a_verdict_that_is_never_given_is_named() -> None:
    assert "stable" in problems_of("soak", {"verdict": criterion(equals="steady")})[0]


def test_more_memory_than_the_limit_can_be_allowed() -> None:
    assert problems_of("soak", {"memory_ratio": criterion(at_least="110%")}) == []


@pytest.mark.parametrize(
    "empty", [{}, {"at_least": None}, {"equals": None}, {"all_of": []}, {"all_of": [{"at_most": None}]}]
)
def test_an_empty_criterion_is_refused(empty: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="needs one of"):
        criterion(**empty)
