"""Requests of one user are no independent witnesses."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rollouts.clusters import design_effect
from rollouts.judge import Requests, judge
from rollouts.samples import RequestSample
from tests.unit.rollouts.requests import SLO, routed


def stream(seed, *, requests=20_000, users=400, share=0.1, rate=0.01, retries=0, canary_rate=None, one_fails=None):
    """Users keep their arm; each failure is tried again ``retries`` times, and fails again."""
    random = np.random.default_rng(seed)
    in_canary = random.random(users) < share
    user = random.integers(users, size=requests)
    rates = np.where(in_canary, rate if canary_rate is None else canary_rate, rate)
    if one_fails is not None:
        rates = np.where(np.arange(users) == np.flatnonzero(in_canary == one_fails)[0], 1.0, rates)
    failed = random.random(requests) < rates[user]
    times = np.where(failed, 1 + retries, 1)
    user, failed = np.repeat(user, times), np.repeat(failed, times)
    rows = zip(user, failed, in_canary[user], strict=True)
    return [
        RequestSample(float(n), arm, 500 if bad else 200, 5.0, f"u{one}", arm)
        for n, (one, bad, canary) in enumerate(rows)
        for arm in ["canary" if canary else "stable"]
    ]


def harmed(requests, alpha=0.0005):
    return judge(Requests.of(requests), SLO, harm_alpha=alpha)[0].verdict == "harm"


def test_retries_of_equal_arms_show_no_harm():
    assert not any(harmed(stream(seed, users=5000, rate=0.01, retries=9)) for seed in range(25))


def test_one_user_whose_every_request_fails_is_no_harm_in_whichever_arm():
    assert not any(harmed(stream(seed, one_fails=arm)) for seed in range(5) for arm in (True, False))


def test_many_users_of_whom_some_requests_fail_are_harm_about_as_soon_as_without_knowing_users():
    for seed in range(3):
        requests = stream(seed, canary_rate=0.06)
        known = judge(Requests.of(requests), SLO, harm_alpha=0.0005)[0]
        unknown = judge(Requests.of(requests, edition=1), SLO, harm_alpha=0.0005)[0]
        assert known.verdict == unknown.verdict == "harm"
        assert known.first_alarm_at <= 2 * unknown.first_alarm_at


def test_whoever_has_no_id_may_be_anybody():
    requests = [RequestSample(float(n), "stable", 200, 5.0, "-", "stable") for n in range(10)]
    assert len(set(Requests.of(requests).user)) == 10


@given(st.integers(0, 2**16), st.integers(1, 20))
def test_perfect_clusters_of_any_size_count_once_and_requests_of_their_own_fully(seed, size):
    requests = Requests.of(routed(300, share=0.3, canary_errors=0.2, stable_errors=0.2, seed=seed))
    assert abs(design_effect(requests.user, requests.is_canary, requests.is_error) - 1) < 1e-9
    user, canary, bad = (np.repeat(a, size) for a in (requests.user, requests.is_canary, requests.is_error))
    assert abs(design_effect(user, canary, bad) / size - 1) < 1e-9 or not bad.any()
