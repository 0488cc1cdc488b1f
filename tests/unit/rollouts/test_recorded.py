from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision.quantities import Margin
from rollouts.recorded_requests import Recorded, judge_requests, judge_series

TENTH = Margin(absolute=None, relative=0.1)


def requests(count, *, seed=0, errors=0.0, median_ms=50.0, begin_s=0.0, times=True):
    rng = np.random.default_rng(seed)
    return Recorded(
        {
            "latency_ms": rng.lognormal(np.log(median_ms), 0.3, count),
            "error": (rng.random(count) < errors).astype(float),
        },
        begin_s + np.sort(rng.uniform(0, 3600, count)) if times else None,
    )


def series(values):
    return Recorded({"cpu": np.array(values, dtype=float)})


def judged(baseline, canary, direction="increase", margin=TENTH):
    return judge_series("cpu", series(baseline), series(canary), direction, margin)


STABLE = requests(20_000, seed=1, errors=0.001)


@pytest.mark.parametrize("times", [True, False])
def test_a_good_canary_is_non_inferior_and_a_bad_one_harm(times):
    stable = requests(20_000, seed=1, errors=0.001, times=times)
    good = judge_requests(stable, requests(1200, seed=2, times=times))
    assert (good.verdict, good.needs_requests, good.problems) == ("non-inferior", None, ())
    assert (len(good.notes) == 1) == times
    assert [metric.name for metric in good.metrics] == ["error-rate", "latency-p95"]
    failing = judge_requests(stable, requests(1200, seed=3, errors=0.05, times=times))
    assert (failing.verdict, failing.metrics[0].verdict) == ("harm", "harm")
    assert failing.metrics[0].first_alarm_at < 300
    slow = judge_requests(stable, requests(1200, seed=4, median_ms=70, times=times))
    assert (slow.verdict, slow.metrics[1].verdict) == ("harm", "harm")


def test_few_requests_say_how_many_are_missing():
    judgement = judge_requests(STABLE, requests(300, seed=5))
    assert judgement.verdict == "not-proven"
    assert 300 < 300 + judgement.needs_requests < 1500


@pytest.mark.parametrize(("stable", "canary"), [(20_000, 0), (0, 1000), (0, 0), (3, 3)])
def test_nothing_or_nearly_nothing_shows_nothing(stable, canary):
    judgement = judge_requests(requests(stable), requests(canary, seed=1))
    assert judgement.verdict == "not-proven"
    assert (min(stable, canary) == 0) == any("no rows" in problem for problem in judgement.problems)


def test_a_missing_value_takes_the_pass_away_and_not_the_harm():
    for errors, verdict in ((0.0, "not-proven"), (0.05, "harm")):
        canary = requests(1200, seed=2, errors=errors)
        canary.measures["latency_ms"][np.flatnonzero(canary.measures["error"] == 0)[:1]] = np.nan
        judgement = judge_requests(STABLE, canary)
        assert judgement.verdict == verdict
        assert judgement.problems[0] == "canary: 1 of 1,200 rows lack a value and were left out"


def test_failed_requests_without_a_latency_still_count():
    canary = requests(1200, seed=3, errors=0.05)
    canary.measures["latency_ms"][canary.measures["error"] == 1] = np.nan
    assert judge_requests(STABLE, canary).metrics[0].verdict == "harm"


def test_arms_recorded_one_after_the_other_are_not_compared():
    for begin_s in (3600.0, 90_000.0):
        judgement = judge_requests(STABLE, requests(1200, seed=3, errors=0.05, begin_s=begin_s))
        assert judgement.verdict == "not-proven"
        assert "not recorded at the same time" in judgement.problems[0]


def test_a_canary_between_two_parts_of_the_baseline_is_not_beside_it():
    stable = requests(4000, seed=1)
    gap = (stable.at_s < 1000) | (stable.at_s > 2600)
    canary = requests(1200, seed=2)
    judgement = judge_requests(stable.of(gap), replace(canary, at_s=1100 + canary.at_s * 1400 / 3600))
    assert judgement.verdict == "not-proven"


def test_a_canary_that_outlives_the_baseline_is_not_passed_on_the_part_that_was_compared():
    canary = requests(2400, seed=2)
    judgement = judge_requests(STABLE, replace(canary, at_s=canary.at_s * 2))
    assert judgement.verdict == "not-proven"
    assert "while the other arm was not" in judgement.problems[-1]


def test_times_of_whole_seconds_are_mixed_within_the_second():
    arms = [replace(arm, at_s=np.floor(arm.at_s / 600)) for arm in (STABLE, requests(1200, seed=2))]
    assert judge_requests(*arms).verdict == "non-inferior"


def test_a_user_in_both_arms_takes_the_pass_away():
    stable = replace(STABLE, users=np.array([f"s{n}" for n in range(20_000)], dtype=object))
    canary = replace(requests(1200, seed=2), users=np.array([f"c{n}" for n in range(1199)] + ["s7"], dtype=object))
    judgement = judge_requests(stable, canary)
    assert judgement.verdict == "not-proven"
    assert judgement.problems[0] == "1 users are in both arms, such as 's7'"


def test_a_latency_that_never_varies_is_no_measurement():
    arms = [requests(20_000, seed=1), requests(1200, seed=2)]
    for arm in arms:
        arm.measures["latency_ms"][:] = 0.0
    judgement = judge_requests(*arms)
    assert judgement.verdict == "not-proven"
    assert [metric.verdict for metric in judgement.metrics] == ["non-inferior", "not-proven"]


@pytest.mark.parametrize(("direction", "harmful"), [("increase", "up"), ("decrease", "down"), ("either", "up down")])
def test_a_series_is_harmed_only_in_its_direction(direction, harmful):
    rng = np.random.default_rng(3)
    low, high = rng.normal(10, 1, 30), rng.normal(20, 1, 30)
    for baseline, canary, change in ((low, high, "up"), (high, low, "down")):
        assert (judged(baseline, canary, direction).verdict == "harm") == (change in harmful)
    assert judged(low, rng.normal(10, 1, 30), direction).verdict == "non-inferior"


def test_five_numbers_apart_are_harm_and_four_show_nothing():
    assert judged([1, 2.2, 1.1, 2.5, 3], [20, 22, 21, 25, 30], "either").verdict == "harm"
    few = judged([1, 2.2, 1.1, 2.5], [20, 22, 21, 25])
    assert (few.verdict, few.needs_requests) == ("not-proven", 1)


def test_harm_within_the_margin_is_none():
    wide = Margin(absolute=None, relative=12.0)
    assert judged([1, 2.2, 1.1, 2.5, 3], [20, 22, 21, 25, 30], "increase", wide).verdict == "not-proven"


def test_a_pass_needs_the_means_as_well_as_the_ranks():
    """Six in ten numbers are below the baseline's limit, four are a hundredfold."""
    canary = np.where(np.arange(1000) % 10 < 4, 100.0, 1.0)
    assert judged(np.ones(1000) + np.arange(1000) % 2 * 0.01, canary).verdict == "harm"
    rare = np.where(np.arange(1000) % 100 < 2, 100.0, 1.0)
    assert judged(np.ones(1000) + np.arange(1000) % 2 * 0.01, rare).verdict != "non-inferior"


def test_errors_of_the_canary_alone_are_harm_when_there_are_enough():
    assert judged(np.zeros(10), [0, 1, 2, 1, 3, 1, 2, 4, 1, 1]).verdict == "harm"
    assert judged(np.zeros(6), [0, 1, 2, 1, 0, 0]).verdict == "not-proven"


@pytest.mark.parametrize(
    ("baseline", "canary"),
    [([], []), ([], [1] * 9), ([1] * 9, []), ([1] * 9, [1] * 9), ([0] * 9, [0] * 9), ([np.nan] * 9, [1] * 9)],
)
def test_series_that_measure_nothing_show_nothing(baseline, canary):
    judgement = judged(baseline, canary)
    assert judgement.verdict == "not-proven"
    assert judgement.problems


def test_the_first_alarm_is_the_first_part_of_the_series_that_showed_it():
    baseline = np.arange(64) % 8 + 10.0
    late = np.concatenate([np.arange(32) % 8 + 10.0, np.arange(32) % 8 + 30.0])
    assert judged(baseline, np.arange(64) % 8 + 30.0).metrics[0].first_alarm_at <= 8
    assert judged(baseline, late).metrics[0].first_alarm_at == 64


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_the_unit_of_a_series_does_not_matter(seed, scale):
    rng = np.random.default_rng(seed)
    baseline, canary = rng.gamma(3, size=20), 1.5 * rng.gamma(3, size=20)
    plain, scaled = judged(baseline, canary).metrics[0], judged(scale * baseline, scale * canary).metrics[0]
    assert plain.verdict == scaled.verdict
    assert plain.p_value == scaled.p_value
    assert scaled.difference == pytest.approx(scale * plain.difference)


@pytest.mark.parametrize("draw", ["normal", "lognormal", "poisson"])
@pytest.mark.parametrize(("stable", "canary"), [(5, 5), (20, 20), (40, 12)])
def test_equal_series_are_harm_in_one_of_a_hundred_at_most(draw, stable, canary):
    rng = np.random.default_rng(stable)
    of = {"normal": (10.0, 1.0), "lognormal": (0.0, 1.0), "poisson": (0.5,)}[draw]
    harm = sum(
        judged(getattr(rng, draw)(*of, stable), getattr(rng, draw)(*of, canary), "either").verdict == "harm"
        for _ in range(300)
    )
    assert harm <= 300 * 0.01 + 3 * (300 * 0.01 * 0.99) ** 0.5
