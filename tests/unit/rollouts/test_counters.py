"""The judge's answers from counters, beside those from the requests that were counted."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rollouts.counters import ArmCounters, Reading, judge_counters
from rollouts.judge import Requests, judge
from tests.unit.rollouts.requests import SLO, routed

ALPHA = 0.0025
ZERO = ArmCounters(0, 0, 0, 0)
COUNTED = ("requests", "errors", "rejections", "slow")


def read_every(requests, count, slow_above_ms=30.0):
    """The counters after each ``count`` of the requests."""

    def arm(seen, backend):
        mine = [request for request in seen if request.backend == backend]
        bad = (sum(r.is_error for r in mine), sum(r.is_rejection for r in mine))
        return ArmCounters(len(mine), *bad, sum(r.latency_ms > slow_above_ms for r in mine))

    ends = range(0, len(requests) + 1, count)
    return [Reading(arm(requests[:end], "stable"), arm(requests[:end], "canary")) for end in ends]


@pytest.mark.parametrize("bad", [{}, {"canary_errors": 0.06}, {"canary_ms": 60.0}])
def test_counters_give_the_verdicts_of_the_requests_they_count(bad):
    requests = routed(24_000, seed=1, share=0.1, **bad)
    of_requests = judge(Requests.of(requests), SLO, harm_alpha=ALPHA)
    of_counters = judge_counters(read_every(requests, 200), SLO, harm_alpha=ALPHA)
    assert [m.name for m in of_counters] == [m.name for m in of_requests]
    assert [m.verdict for m in of_counters] == [m.verdict for m in of_requests]
    assert of_counters[0].canary == pytest.approx(of_requests[0].canary)
    alarms = [(a.first_alarm_at, b.first_alarm_at) for a, b in zip(of_counters, of_requests, strict=True)]
    print(alarms)
    assert all(a <= 2 * b + 20 for a, b in alarms if b is not None)


def test_equal_arms_are_rarely_shown_to_differ_by_counters():
    alarms = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        sizes = random.poisson((80, 20), (40, 2))
        totals = np.cumsum(np.stack([sizes, random.binomial(sizes, 0.05)], axis=-1), axis=0)
        readings = [Reading(*(ArmCounters(n, bad, 0, 0) for n, bad in row)) for row in totals]
        exact = {"error-rate": SLO["error-rate"].model_copy(update={"worse_than_stable_by": None})}
        alarms += any(m.verdict == "harm" for m in judge_counters(readings, exact, harm_alpha=0.01))
    assert alarms <= 8  # at most 1 % each of three metrics, of which two have nothing to show


def test_what_was_counted_before_and_what_a_restart_lost_do_not_count():
    readings = read_every(routed(8000, share=0.2, canary_errors=0.3), 400)
    before = 10_000
    later = [Reading(*(replace(a, requests=a.requests + before) for a in (r.stable, r.canary))) for r in readings]
    assert judge_counters(later, SLO, harm_alpha=ALPHA) == judge_counters(readings, SLO, harm_alpha=ALPHA)
    since = readings[10]
    restarted = readings[:11] + [
        Reading(
            r.stable,
            ArmCounters(*(getattr(r.canary, name) - getattr(since.canary, name) for name in COUNTED)),
        )
        for r in readings[11:]
    ]
    assert judge_counters(restarted, SLO, harm_alpha=ALPHA) == judge_counters(readings, SLO, harm_alpha=ALPHA)


def test_intervals_of_one_arm_alone_wait_for_the_other():
    readings = read_every(routed(3000, share=0.2, canary_errors=0.3), 1)
    assert judge_counters(readings, SLO, harm_alpha=ALPHA)[0].verdict == "harm"
    assert all(a != b for a, b in pairwise(readings))


@pytest.mark.parametrize("few", [[], [Reading(ZERO, ZERO)], [Reading(ZERO, ZERO)] * 2])
def test_without_two_readings_of_both_arms_nothing_is_shown(few):
    assert {m.verdict for m in judge_counters(few, SLO, harm_alpha=ALPHA)} == {"not-proven"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_counter_that_is_no_count_is_no_measurement(value):
    with pytest.raises(ValueError, match="counter"):
        judge_counters([Reading(ZERO, replace(ZERO, errors=value))] * 2, SLO, harm_alpha=ALPHA)
