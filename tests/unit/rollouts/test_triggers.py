import pytest

from decision.objectives import Objective
from rollouts.triggers import CanaryWindow, broken_limits, failures_in_a_row, unmeasured, unmeasured_last, window_of
from tests.unit.rollouts.requests import SLO, routed


def first(windows, latest, row, slo):
    return next((broken.why for broken in broken_limits(windows, latest, row, slo)), None)


def window(requests=200, errors=0, **changes):
    values = {"unavailable": 0, "p95_ms": 10.0, "memory": 0.1, "cpu": 0.1} | changes
    return CanaryWindow(requests, errors, **values)


def fires(*windows, row=0, latest=()):
    return first(windows, latest, row, SLO)


def test_good_windows_break_no_limit():
    assert fires(*[window()] * 5) is None
    assert fires() is None


@pytest.mark.parametrize(
    ("bad", "times"),
    [
        ({"errors": 4}, 3),
        ({"p95_ms": 600.0}, 3),
        ({"memory": 0.9}, 2),
        ({"cpu": 0.9}, 3),
        ({"unavailable": 3}, 1),
    ],
)
def test_a_limit_acts_after_its_number_of_windows_in_a_row_and_not_before(bad, times):
    assert fires(*[window(**bad)] * times)
    assert fires(window(), *[window(**bad)] * (times - 1)) is None
    assert fires(*[window(**bad)] * (times - 1), window()) is None


def test_the_last_hundred_requests_act_at_once_and_fewer_say_nothing():
    bad = routed(2000, share=1.0, canary_errors=0.3)
    assert "last 100 canary requests" in fires(latest=bad)
    assert fires(latest=bad[:90]) is None
    assert fires(latest=[*bad, *routed(100, share=1.0)]) is None


def test_ten_failures_in_a_row_act_at_once():
    assert "in a row" in fires(window(), row=10)
    assert fires(window(), row=9) is None


def test_a_window_with_few_requests_says_nothing():
    few = window(requests=15, errors=5, p95_ms=900.0, unavailable=5)
    assert fires(few, few, few, few) is None


def test_what_was_not_measured_breaks_no_limit_and_ends_no_row():
    assert fires(window(memory=0.9), window(memory=None)) is None


def test_a_mean_latency_above_its_limit_acts():
    slo = {"latency-mean": Objective.model_validate({"unit": "ms", "roll_back_above": 100, "for": "2 windows"})}
    slow = window_of(routed(200, share=1.0, canary_ms=200))
    assert "latency-mean" in first([slow, slow], (), 0, slo)
    assert first([slow, window_of(routed(200, share=1.0))], (), 0, slo) is None


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["memory", "cpu"])
def test_a_limited_resource_that_is_not_measured_is_told_after_three_windows(name, nothing):
    lacking = window(**{name: nothing})
    assert f"{name} was not measured in 3 of the last 4 windows" in unmeasured([window(), *[lacking] * 3], SLO, 3)
    assert unmeasured([window(), lacking, lacking], SLO, 3) is None
    assert unmeasured([lacking, window(), lacking, window(), lacking], SLO, 3)  # every other time is too seldom
    assert unmeasured([*[lacking] * 3, *[window()] * 4], SLO, 3) is None
    assert unmeasured([lacking] * 9, {}, 3) is None
    assert unmeasured_last([window(), lacking], SLO) == name
    assert unmeasured_last([lacking, window()], SLO) is None


def test_before_the_first_window_nothing_is_measured():
    assert unmeasured((), SLO, 3) is None
    assert unmeasured_last((), SLO) == "memory"
    assert unmeasured_last((), {}) is None


def test_failures_in_a_row_end_with_a_success_of_the_canary_alone():
    requests = routed(200, share=0.5, canary_errors=1.0)
    assert failures_in_a_row(requests) == sum(r.backend == "canary" for r in requests)
    assert failures_in_a_row([*requests, *routed(50, share=1.0)]) == 0


def test_a_window_counts_the_canary_only():
    seen = window_of(routed(1000, share=0.2, stable_errors=1.0))
    assert seen.errors == 0
    assert 100 < seen.requests < 300
