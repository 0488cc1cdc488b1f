from dataclasses import replace

import numpy as np
import pytest

from rollouts.judge import Requests, judge, judge_alone, overall
from tests.unit.rollouts.requests import SLO, routed

ALPHA = 0.0025


def verdicts(requests, **options):
    return judge(Requests.of(requests), SLO, harm_alpha=ALPHA, **options)


@pytest.mark.parametrize("seed", range(5))
def test_a_good_canary_is_shown_to_be_not_worse_by_a_thousand_requests(seed):
    assert overall(verdicts(routed(20_500, seed=seed))) == "non-inferior"


def test_failures_are_shown_to_be_harm_within_some_hundred_requests():
    alarms = [verdicts(routed(12_000, seed=seed, canary_errors=0.06))[0].first_alarm_at for seed in range(20)]
    assert np.median([alarm or 10_000 for alarm in alarms]) < 200


def test_an_added_300_ms_is_shown_to_be_harm_within_some_twenty_requests():
    errors, _, latency = verdicts(routed(3000, canary_ms=305))
    assert latency.verdict == "harm"
    assert latency.first_alarm_at < 25
    assert errors.verdict != "harm"


def test_a_shared_outage_is_no_harm_of_the_canary():
    requests = routed(10_000, share=0.3, canary_errors=0.2, stable_errors=0.2, canary_ms=400, stable_ms=400)
    assert overall(verdicts(requests)) != "harm"


def test_a_difference_within_the_margin_is_no_harm():
    requests = routed(40_000, share=0.5, canary_errors=0.003, stable_errors=0.001)
    assert overall(verdicts(requests)) != "harm"


def test_equal_versions_are_rarely_shown_to_differ_however_often_one_looks():
    """One look per block over the whole stream: first_alarm_at is set when any look would have shown harm."""
    streams = 400
    alarms = sum(
        any(
            m.verdict == "harm"
            for m in verdicts(routed(1500, seed=s, share=0.3, canary_errors=0.02, stable_errors=0.02))
        )
        for s in range(streams)
    )
    assert alarms <= 9  # at most 0.25 % each of three metrics: 3 expected, and 3 standard deviations above


@pytest.mark.parametrize("bad", [{"canary_errors": 0.3}, {"canary_ms": 30.0}])
def test_the_answer_to_a_stream_holds_the_answers_to_a_look_after_every_request(bad):
    stream = routed(500, seed=3, share=0.4, **bad)
    whole = verdicts(stream)
    for number, metric in enumerate(whole):
        looks = (verdicts(stream[:n])[number] for n in range(len(stream) + 1))
        first = next((look for look in looks if look.verdict == "harm"), None)
        assert (first is None) == (metric.verdict != "harm")
        assert first is None or first.first_alarm_at == metric.first_alarm_at
    assert overall(whole) == "harm"


@pytest.mark.parametrize("requests", [[], routed(100, share=0.0), routed(100, share=1.0)])
def test_without_requests_of_both_arms_nothing_is_shown(requests):
    for metric in verdicts(requests, intervals=True):
        assert metric.verdict == "not-proven"
        assert metric.interval is None


def test_too_few_requests_say_how_many_are_missing():
    metric = verdicts(routed(4000))[0]
    assert metric.verdict == "not-proven"
    canary = sum(request.backend == "canary" for request in routed(4000))
    assert 400 < canary + metric.needs_requests < 1100


def test_a_latency_that_is_no_number_is_no_measurement():
    requests = Requests(np.array([True]), np.array([False]), np.array([False]), np.array([np.nan]))
    with pytest.raises(ValueError, match="not finite"):
        judge(requests, SLO, harm_alpha=ALPHA)


def test_intervals_hold_the_true_difference():
    requests = routed(20_000, share=0.5, canary_errors=0.03, stable_errors=0.01)
    interval = verdicts(requests, intervals=True)[0].interval
    assert interval.low <= 0.02 <= interval.high
    assert interval.low > 0.005


def test_a_canary_that_refuses_what_stable_takes_is_harm():
    requests = [replace(r, status=404) if r.backend == "canary" else r for r in routed(3000)]
    errors, rejections, _ = verdicts(requests)
    assert errors.verdict != "harm"
    assert rejections.verdict == "harm"


def test_mistakes_of_clients_that_meet_both_versions_are_no_harm():
    requests = [replace(r, status=422) if n % 10 == 0 else r for n, r in enumerate(routed(20_000))]
    assert overall(verdicts(requests)) != "harm"


def test_alone_a_version_is_judged_by_the_plans_limits():
    def alone(count, **options):
        return judge_alone(Requests.of(routed(count, share=1.0, **options)), SLO, harm_alpha=ALPHA)

    assert overall(alone(600)) == "non-inferior"
    assert overall(alone(100)) == "not-proven"
    assert overall(alone(600, canary_errors=0.06)) == "harm"
    assert overall(alone(600, canary_ms=400)) == "harm"
    assert overall(alone(0)) == "not-proven"
