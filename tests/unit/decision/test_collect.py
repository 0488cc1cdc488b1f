import pytest
from pydantic import ValidationError

from decision.collect import LoadCollect, SoakCollect
from decision.collect_rollout import RolloutCollect

STEADY = {"kind": "load", "users": "users.py", "journey": "all", "rate": "60/s"}
STAGED = {"kind": "load", "users": "users.py", "stages": [{"to": "60/s", "over": "10s"}, {"to": "0/s", "over": "5s"}]}


def test_a_load_is_a_rate_or_stages():
    assert LoadCollect.model_validate(STEADY).rate == 60
    staged = LoadCollect.model_validate(STAGED)
    assert [(stage.to, stage.over) for stage in staged.stages] == [(60, 10), (0, 5)]
    assert staged.journey is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rate": None}, "expected rate, or stages"),
        (STAGED | {"rate": "60/s"}, "expected rate, or stages"),
        ({"rate": None, "stages": [{"to": "0/s", "over": "10s"}]}, "the stages offer nothing"),
        ({"rate": None, "stages": [{"to": "5/s", "over": "0s"}]}, "the stages offer nothing"),
        ({"workers": 0}, "nobody makes the load"),
        ({"remote_workers": 2}, "remote_workers and bind go together"),
        ({"bind": "0.0.0.0:5557"}, "remote_workers and bind go together"),
        ({"remote_workers": 2, "bind": "5557"}, "expected HOST:PORT"),
        ({"rate": "0/s"}, "expected a rate"),
        ({"rate": "1000000/s"}, "expected at most 10,000/s from one process, not 1,000,000/s"),
        ({"rate": "20001/s", "workers": 2}, "expected at most 20,000/s from 2 processes"),
        (STAGED | {"rate": None, "stages": [{"to": "10001/s", "over": "1s"}]}, "expected at most 10,000/s"),
    ],
)
def test_a_load_that_cannot_be_made_is_an_error_of_the_plan(changes, expected):
    with pytest.raises(ValidationError, match=expected):
        LoadCollect.model_validate(STEADY | changes)


def test_traffic_of_one_process_has_a_highest_rate():
    rollout = {"kind": "rollout", "users": "users.py", "journey": "all"}
    assert RolloutCollect.model_validate(rollout | {"rate": "10000/s"}).rate == 10_000
    with pytest.raises(ValidationError, match="expected at most 10,000/s from one process"):
        RolloutCollect.model_validate(rollout | {"rate": "10001/s"})


def test_stages_take_as_long_as_they_say_and_no_longer_than_the_profile():
    assert LoadCollect.model_validate(STAGED).length_s(1800) == 15
    assert LoadCollect.model_validate(STAGED).length_s(6) == 6
    assert LoadCollect.model_validate(STEADY).length_s(1800) == 1800


SOAK = {"kind": "soak", "users": "users.py", "rate": "50/s", "memory_limit": "512MB"}


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_limit": -1},
        {"memory_limit": 0},
        {"limit_per_day": "1000%"},
        {"limit_per_day": "-5%"},
        {"limit_per_day": 0},
        {"coverage_at_least": "0%"},
        {"segment": "0.2s"},
        {"segment": "29s"},
    ],
)
def test_a_soak_that_could_not_be_judged_is_an_error_of_the_plan(changes):
    assert SoakCollect.model_validate(SOAK | {"segment": "30s", "limit_per_day": "100%"})
    with pytest.raises(ValidationError, match=next(iter(changes))):
        SoakCollect.model_validate(SOAK | changes)
