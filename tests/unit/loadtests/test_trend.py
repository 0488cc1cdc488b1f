import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision.criteria import Criterion, evaluate
from loadtests.trend import judge_trend

HOURS = np.arange(0, 72, 1 / 60)


def series(seed, *, leak_mb_per_hour=0.0, warm_up_mb=0.0, hours=HOURS):
    random = np.random.default_rng(seed)
    noise = np.zeros(len(hours))
    for i in range(1, len(hours)):
        noise[i] = 0.8 * noise[i - 1] + random.normal(0, 1)
    saw = 20 * (hours * 7 % 1)
    return 500 + leak_mb_per_hour * hours + warm_up_mb * (1 - np.exp(-hours / 2)) + saw + noise


def trend_of(values, hours=HOURS, **options):
    return judge_trend(hours, values, **({"limit_per_day": 0.05} | options))


def verdict(values, **options):
    return trend_of(values, **options).verdict


@pytest.mark.parametrize("seed", range(5))
def test_a_level_series_is_stable(seed):
    assert verdict(series(seed)) == "stable"


@pytest.mark.parametrize("seed", range(5))
def test_growth_above_the_limit_is_a_leak(seed):
    assert verdict(series(seed, leak_mb_per_hour=3)) == "leaking"


@pytest.mark.parametrize("seed", range(5))
def test_warm_up_is_no_leak(seed):
    assert verdict(series(seed, warm_up_mb=80)) == "stable"


def test_one_step_is_named_and_is_neither_a_leak_nor_cleared():
    trend = trend_of(series(1) + 60 * (HOURS > 40))
    assert trend.verdict == "not-proven"
    assert trend.change_points == [pytest.approx(40, abs=2)]
    assert trend.explanations[0].name == "step"
    assert trend.explanations[0].growth_per_day_left < 0.01
    assert not next(e for e in trend.explanations if e.name == "line").fits_as_well
    assert "step at 40 h" in trend.why


def test_two_steps_at_the_same_hour_of_two_days_are_no_steady_growth():
    for second in (100, 150):
        assert verdict(series(1) + 100 * (HOURS > 22.5) + second * (HOURS > 46.5)) == "not-proven"


def test_logarithmic_growth_is_no_leak_whatever_its_size():
    for size in (20, 60, 200):
        assert verdict(series(1) + size * np.log1p(HOURS)) != "leaking"


def test_a_leak_that_began_on_the_last_day_is_not_cleared():
    assert verdict(series(1) + 1.3 * np.maximum(0, HOURS - 48)) == "not-proven"


def test_a_fall_does_not_hide_growth():
    assert verdict(series(1, leak_mb_per_hour=1.3) - 70 * (HOURS > 45)) != "stable"


def test_a_daily_cycle_is_no_growth_and_hides_none():
    cycle = 40 * np.sin(2 * np.pi * HOURS / 24)
    assert verdict(series(1) + cycle) == "stable"
    assert verdict(series(1, leak_mb_per_hour=4) + cycle) == "leaking"


def test_coverage_is_judged_first():
    kept = (HOURS < 20) | (HOURS > 30)
    trend = trend_of(series(1)[kept], HOURS[kept])
    assert trend.verdict == "not-proven"
    assert trend.coverage == pytest.approx(62 / 72, abs=0.01)
    assert "samples cover 86" in trend.why
    assert trend_of(series(1)[kept], HOURS[kept], coverage_at_least=0.8).verdict == "stable"


def test_growth_that_the_control_shows_too_is_not_cleared_and_keeps_its_number():
    common = series(1, leak_mb_per_hour=3)
    control = (HOURS, common + np.random.default_rng(2).normal(0, 1, len(HOURS)))
    trend = trend_of(common, control=control)
    assert trend.verdict == "not-proven"
    assert "it grows as much as the control does: 1" in trend.why
    assert trend.growth_per_day == trend_of(common).growth_per_day > 0.1


def test_a_step_that_the_control_shows_too_does_not_stand_in_the_way():
    step = 60 * (HOURS > 40)
    assert verdict(series(1) + step, control=(HOURS, series(2) + step)) == "stable"


def test_a_control_with_steps_of_its_own_hides_no_leak_and_makes_none():
    control = (HOURS, series(2) + 80 * (HOURS > 30) + 60 * (HOURS > 60))
    assert verdict(series(1, leak_mb_per_hour=3), control=control) == "leaking"
    assert verdict(series(1) + 60 * (HOURS > 50), control=control) == "not-proven"


def test_a_control_that_rises_once_clears_no_late_leak():
    control = (HOURS, series(2) + 80 * (1 - np.exp(-np.maximum(0, HOURS - 55) / 3)))
    assert verdict(series(1) + 1.3 * np.maximum(0, HOURS - 45), control=control) != "stable"


def test_a_control_that_covers_half_of_the_time_is_not_used():
    half = HOURS < 36
    trend = trend_of(series(1, leak_mb_per_hour=3), control=(HOURS[half], series(2, leak_mb_per_hour=3)[half]))
    assert trend.verdict == "leaking"
    assert "the control does not cover the time, or is unusable, and was not used" in trend.notes


def test_a_short_series_proves_nothing_and_says_how_much_is_missing():
    trend = judge_trend(HOURS[:30], series(1)[:30], limit_per_day=0.05)
    assert trend.verdict == "not-proven"
    assert trend.needs_hours == pytest.approx(47.52, abs=0.01)


def test_ten_minutes_are_never_cleared_and_condemn_only_what_no_warm_up_could_be():
    hours = np.arange(600) / 3600
    quiet = 500 + np.random.default_rng(1).normal(0, 1, 600)
    assert verdict(quiet, hours=hours) == "not-proven"
    assert verdict(quiet + 300 * hours, hours=hours) == "not-proven"
    assert verdict(quiet + 6000 * hours, hours=hours) == "leaking"
    assert verdict(quiet + 200 * (1 - np.exp(-hours / 0.1)), hours=hours) == "not-proven"


def test_the_longest_piece_between_restarts_is_judged():
    values = series(1) - 200 * (HOURS < 4) - 200 * ((HOURS > 10) & (HOURS < 14))
    trend = trend_of(values)
    assert trend.verdict == "stable"
    assert pytest.approx(trend.change_points[0], abs=0.5) == 10
    assert any("as in a restart" in note for note in trend.notes)


def test_a_clock_that_was_set_back_is_told():
    set_back = HOURS - 3 / 60 * (HOURS > 30)
    trend = trend_of(series(1), set_back)
    assert trend.verdict == "stable"
    assert any("the clock went back 1 times" in note for note in trend.notes)


@pytest.mark.parametrize("lives", [2, 3])
def test_series_one_after_the_other_are_told_and_prove_nothing(lives):
    hours = np.tile(HOURS[: 72 * 60 // lives], lives)
    trend = trend_of(series(1), hours)
    assert trend.verdict == "not-proven"
    assert f"the times go back by {72 // lives} h at once: several series in one file?" in trend.why


def test_interleaved_series_are_told_and_prove_nothing():
    values = np.column_stack([series(1) - 300, series(2, leak_mb_per_hour=3)]).ravel()
    trend = trend_of(values, np.repeat(HOURS, 2))
    assert trend.verdict == "not-proven"
    assert "4320 samples have the time, but not the value, of the one before" in trend.why
    shifted = np.column_stack([HOURS, HOURS + 1 / 120]).ravel()
    assert verdict(values, hours=shifted) == "not-proven"


def test_samples_newest_first_are_put_in_order():
    assert verdict(series(1)[::-1], hours=HOURS[::-1]) == "stable"


@pytest.mark.parametrize("busy", [0.2, 0.5, 0.85])
def test_growth_that_the_lower_envelope_does_not_see_is_not_cleared(busy):
    inside = busy > (HOURS % 1)
    assert verdict(series(1) + 100 * inside) == "stable"
    trend = trend_of(series(1) + inside * (100 + 5 * HOURS))
    assert trend.verdict == "not-proven"
    assert "the lower envelope is level, but the upper one" in trend.why
    assert trend.growth_per_day > 0.05


def test_a_sample_without_a_number_is_not_covered():
    values = np.where(np.arange(len(HOURS)) % 2, np.nan, series(1))
    trend = trend_of(values)
    assert trend.verdict == "not-proven"
    assert trend.coverage == pytest.approx(0.5)
    few = np.where(np.arange(len(HOURS)) % 50, series(1), np.nan)
    assert trend_of(few).coverage == pytest.approx(0.98, abs=1e-3)
    assert verdict(few) == "stable"


def test_below_48_hours_no_growth_is_told_unless_a_leak_is_shown():
    hours = np.arange(30) / 3600
    trend = trend_of(500 + np.arange(30) % 7 + 100 * hours, hours)
    assert (trend.growth_per_day, trend.growth_per_day_upper, trend.growth_per_day_bound) == (None, None, None)
    assert trend.slope_per_hour is not None
    assert trend.interval_per_hour is not None
    hours = np.arange(600) / 3600
    trend = trend_of(500 + np.random.default_rng(1).normal(0, 1, 600) + 6000 * hours, hours)
    assert (trend.verdict, trend.growth_per_day > 1) == ("leaking", True)


JUDGED = """
import json, numpy
from decision.criteria import Criterion, evaluate
from loadtests.trend import judge_trend
hours = numpy.arange(0, 72, 1 / 60)
noise = numpy.random.default_rng(1).normal(0, 3, len(hours))
control = (hours, 480 + noise[::-1])
for values in (500 + noise, 500 + noise + 3 * hours, 500 + noise + 60 * (hours > 40), 500 + 0 * hours, 500 + 3 * hours):
    for beside in (None, control):
        print(judge_trend(hours, values, limit_per_day=0.05, control=beside).model_dump_json())
"""


def test_the_result_is_the_same_on_any_kernel_of_the_processor():
    found = {
        subprocess.run(
            [sys.executable, "-c", JUDGED],
            env=os.environ | {"OPENBLAS_CORETYPE": core},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for core in ("Nehalem", "Haswell")
    }
    assert len(found) == 1
    assert found.pop().count("verdict") == 10


def test_samples_in_no_order_prove_nothing():
    order = np.random.default_rng(1).permutation(len(HOURS))
    trend = trend_of(series(1)[order], HOURS[order])
    assert trend.verdict == "not-proven"
    assert "not in order" in trend.why


def test_needs_hours_shrink_to_none_when_the_answer_is_known():
    assert trend_of(series(1)).needs_hours is None
    short = HOURS < 40
    assert trend_of(series(1)[short], HOURS[short]).needs_hours == pytest.approx(8, abs=0.1)


def test_the_smallest_visible_growth_is_seen():
    smallest = trend_of(series(1)).smallest_visible_per_day
    assert smallest is not None
    found = [verdict(series(seed, leak_mb_per_hour=1.3 * smallest * 500 / 24)) for seed in range(20)]
    assert found.count("leaking") >= 19


@given(st.lists(st.sampled_from([float("nan"), float("inf"), -float("inf")]), max_size=100))
def test_values_that_are_no_numbers_are_never_stable(values):
    assert judge_trend(list(range(len(values))), values, limit_per_day=0.05).verdict == "not-proven"


anything = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None)
@given(st.lists(st.tuples(anything, anything), max_size=200))
def test_any_two_columns_are_judged_without_an_exception(rows):
    judge_trend([at for at, _ in rows], [value for _, value in rows], limit_per_day=0.05)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from([0.0, -1.0, 1.0, 1e-300, 1e300, 1.7e308, 5.0]), min_size=2, max_size=8),
    st.integers(30, 200),
)
def test_extreme_values_are_judged_without_an_exception(pattern, count):
    values = np.resize(pattern, count)
    trend = judge_trend(np.linspace(0, 72, count), values, limit_per_day=0.05)
    if max(pattern) <= 0:
        assert trend.verdict == "not-proven"


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    leak=st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0]),
    factor=st.sampled_from([1e-6, 1024.0, 1e6, 1e12]),
)
def test_the_verdict_does_not_depend_on_the_unit(seed, leak, factor):
    values = series(seed, leak_mb_per_hour=leak)
    assert verdict(values) == verdict(values * factor)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), leak=st.sampled_from([0.0, 1.0, 4.0]), shift=st.floats(-1e4, 1e4))
def test_the_verdict_does_not_depend_on_where_time_begins(seed, leak, shift):
    values = series(seed, leak_mb_per_hour=leak)
    assert verdict(values) == verdict(values, hours=HOURS + shift)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), leak=st.floats(0, 5), more=st.floats(0, 5))
def test_more_growth_never_makes_a_leak_stable(seed, leak, more):
    if verdict(series(seed, leak_mb_per_hour=leak)) == "leaking":
        assert verdict(series(seed, leak_mb_per_hour=leak + more)) != "stable"


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), times=st.floats(1.1, 10))
def test_growth_above_the_limit_is_never_cleared(seed, times):
    assert verdict(series(seed, leak_mb_per_hour=times * 0.05 * 520 / (24 - 18 * 0.05 * times))) != "stable"


def test_growth_that_is_not_known_refutes_no_claim():
    result = SimpleNamespace(growth_per_day=trend_of(series(1)[:30], HOURS[:30]).growth_per_day)
    assert evaluate("growth_per_day", Criterion(at_most=0.05), result).holds == "undetermined"
