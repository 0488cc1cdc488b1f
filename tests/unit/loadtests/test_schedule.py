from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from loadtests.schedule import (
    Ramp,
    arrivals,
    constant,
    duration_s,
    highest_per_s,
    mean_per_s,
    offered,
    read_shape,
    shape_text,
    staged,
)

STAGES = st.lists(st.tuples(st.floats(0, 80), st.floats(0.1, 10)), min_size=1, max_size=4).filter(
    lambda stages: any(rate > 0 for rate, _ in stages)
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), STAGES, st.floats(0.1, 100))
def test_the_same_seed_offers_the_same_arrivals_in_their_time(seed, stages, at_most_s):
    shape = staged(stages, at_most_s)
    times = list(arrivals(seed=seed, shape=shape))
    assert times == sorted(times) == list(arrivals(seed=seed, shape=read_shape(shape_text(shape))))
    assert all(0 < at_s < duration_s(shape) for at_s in times)
    assert offered(seed=seed, shape=shape) == len(times)
    half_s = duration_s(shape) / 2
    assert offered(seed=seed, shape=shape, until_s=half_s) == sum(at_s < half_s for at_s in times)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), STAGES, st.integers(1, 5))
def test_the_shares_of_all_workers_are_the_whole_schedule(seed, stages, workers):
    shape = staged(stages)
    shares = [list(islice(arrivals(seed=seed, shape=shape), index, None, workers)) for index in range(workers)]
    assert sorted(at_s for share in shares for at_s in share) == list(arrivals(seed=seed, shape=shape))


def test_arrivals_follow_the_rate_exactly():
    """By the change of time: mapped through the integral of the rate, arrivals are those of a process of rate 1."""
    shape = staged([(100.0, 30.0), (100.0, 20.0), (0.0, 50.0), (40.0, 0.0), (40.0, 10.0)])

    def integral(at_s):
        total, began_s = 0.0, 0.0
        for ramp in shape:
            inside = min(max(at_s - began_s, 0.0), ramp.over_s)
            slope = (ramp.to_per_s - ramp.from_per_s) / ramp.over_s
            total += ramp.from_per_s * inside + slope * inside**2 / 2
            began_s += ramp.over_s
        return total

    reached = [integral(at_s) for at_s in arrivals(seed=3, shape=shape)]
    gaps = [after - before for before, after in zip([0.0, *reached], reached, strict=False)]
    assert len(gaps) == pytest.approx(1500 + 2000 + 2500 + 400, abs=4 * 80)
    assert stats.kstest(gaps, "expon").pvalue > 0.01


def test_a_constant_rate_is_one_ramp():
    assert constant(50, 6) == (Ramp(50, 50, 6),)
    assert mean_per_s(constant(50, 6)) == highest_per_s(constant(50, 6)) == 50


def test_stages_begin_at_nothing_and_one_of_no_time_is_a_jump():
    shape = staged([(10.0, 5.0), (30.0, 0.0), (30.0, 5.0)])
    assert shape == (Ramp(0.0, 10.0, 5.0), Ramp(30.0, 30.0, 5.0))
    assert mean_per_s(shape) == pytest.approx(17.5)


def test_a_shorter_profile_compresses_the_shape_and_keeps_its_rates():
    whole, short = staged([(100.0, 10.0), (100.0, 590.0)]), staged([(100.0, 10.0), (100.0, 590.0)], at_most_s=15)
    assert duration_s(short) == pytest.approx(15)
    assert highest_per_s(short) == 100
    assert mean_per_s(short) == pytest.approx(mean_per_s(whole))
    assert staged([(100.0, 10.0)], at_most_s=1800) == staged([(100.0, 10.0)])
