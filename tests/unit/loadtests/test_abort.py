import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision.objectives import Objective
from loadtests.abort import broken_limit, first_break
from tests.unit.loadtests.test_windows import window

SLO = {
    "error-rate": Objective(
        unit="ratio", roll_back_above=0.01, windows=3, roll_back_at_once_above=0.05, at_least_requests=100
    ),
    "latency-p95": Objective(unit="ms", roll_back_above=500, windows=3),
    "memory": Objective(unit="ratio", roll_back_above=0.85, windows=2),
}


def seen(*, errors=0, count=200, ms=5.0):
    return window(latencies_us=(round(ms * 1000),) * count, errors=errors)


def silent():
    return window(latencies_us=(), offered=10)


@pytest.mark.parametrize(
    ("windows", "broken"),
    [
        ([], None),
        ([seen()] * 5, None),
        ([seen(errors=11)], "error-rate is 5.5% in the last 200 requests, the limit is 0.05"),
        ([seen(count=60, errors=20)], None),  # 60 requests are not enough to act at once
        ([seen(count=60, errors=20)] * 2, "error-rate is 33.3% in the last 120 requests, the limit is 0.05"),
        ([seen(errors=4)] * 2, None),
        ([seen(errors=4)] * 3, "error-rate was 0.02 and beyond its limit of 0.01 for 3 windows"),
        ([seen(errors=4), seen(), seen(errors=4), seen(errors=4)], None),
        ([seen(ms=600)] * 2, None),
        ([seen(ms=600)] * 3, "latency-p95 was 600.1 and beyond its limit of 500 for 3 windows"),
        ([seen(), silent(), silent()], None),
        ([seen(), silent(), silent(), silent()], "no request was completed in the last 3 windows, though some were"),
        ([window(latencies_us=(), offered=0)] * 9, None),  # nothing was asked for, as between two stages
    ],
)
def test_a_limit_is_broken_when_the_plan_says_so(windows, broken):
    found = broken_limit(windows, SLO)
    assert found is None if broken is None else found is not None and found.startswith(broken)


def test_no_data_is_a_break_without_any_limit():
    assert broken_limit([silent()] * 3, {}) is not None


def test_a_single_error_in_small_windows_is_not_beyond_a_limit_of_one_percent():
    """At 20 requests a window one error is 5 %: windows are judged together until they can tell."""
    windows = [seen(count=20, errors=n % 5 == 0) for n in range(30)]
    assert first_break(windows, SLO) is None


def test_the_first_break_is_what_was_seen_when_it_came():
    windows = [seen(), seen(errors=40), seen(), seen(errors=100)]
    assert first_break(windows, SLO) == (2, "error-rate is 20.0% in the last 200 requests, the limit is 0.05")
    assert first_break([seen()], SLO) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 30)), max_size=8))
def test_windows_without_errors_or_silence_never_break_the_error_rate(drawn):
    windows = [seen(count=count + 1) for count, _ in drawn]
    assert broken_limit(windows, {"error-rate": SLO["error-rate"]}) is None


def test_objectives_that_a_load_does_not_see_are_left_to_others():
    assert broken_limit([seen()] * 5, {"cpu": Objective(unit="ratio", roll_back_above=0.0)}) is None
