import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.trend import judge_trend

HOURS = np.arange(0, 72, 1 / 60)


def series(seed, *, leak_mb_per_hour=0.0, warm_up_mb=0.0):
    random = np.random.default_rng(seed)
    noise = np.zeros(len(HOURS))
    for i in range(1, len(HOURS)):
        noise[i] = 0.8 * noise[i - 1] + random.normal(0, 1)
    saw = 20 * (HOURS * 7 % 1)
    return 500 + leak_mb_per_hour * HOURS + warm_up_mb * (1 - np.exp(-HOURS / 2)) + saw + noise


def verdict(values, **options):
    return judge_trend(HOURS, values, limit_per_day=0.05, **options).verdict


@pytest.mark.parametrize("seed", range(5))
def test_a_level_series_is_stable(seed):
    assert verdict(series(seed)) == "stable"


@pytest.mark.parametrize("seed", range(5))
def test_growth_above_the_limit_is_a_leak(seed):
    assert verdict(series(seed, leak_mb_per_hour=3)) == "leaking"


@pytest.mark.parametrize("seed", range(5))
def test_warm_up_is_no_leak(seed):
    assert verdict(series(seed, warm_up_mb=80)) == "stable"


def test_one_step_is_named_and_is_no_leak():
    values = series(1) + 60 * (HOURS > 40)
    trend = judge_trend(HOURS, values, limit_per_day=0.05)
    assert trend.verdict != "leaking"
    assert trend.change_points == [pytest.approx(40, abs=2)]


def test_what_the_control_shows_too_is_no_leak():
    common = series(1, leak_mb_per_hour=3)
    control = (HOURS, common + np.random.default_rng(2).normal(0, 1, len(HOURS)))
    assert verdict(common, control=control) == "stable"


def test_a_short_series_proves_nothing_and_says_how_much_is_missing():
    trend = judge_trend(HOURS[:30], series(1)[:30], limit_per_day=0.05)
    assert trend.verdict == "not-proven"
    assert trend.needs_hours == pytest.approx(47.52, abs=0.01)


@given(st.lists(st.sampled_from([float("nan"), float("inf"), -float("inf")]), max_size=100))
def test_values_that_are_no_numbers_are_never_stable(values):
    assert judge_trend(list(range(len(values))), values, limit_per_day=0.05).verdict == "not-proven"
