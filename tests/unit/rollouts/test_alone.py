"""The limits of a candidate that has no stable arm beside it."""

import pytest

from rollouts.alone import limits_alone
from rollouts.observation import RecordedStable
from tests.unit.rollouts.requests import SLO


def test_without_a_record_the_plan_alone_limits() -> None:
    assert limits_alone(SLO, None, 0.001) == SLO


def test_the_record_of_stable_tightens_limits_and_never_loosens_them() -> None:
    tight = limits_alone(SLO, RecordedStable(100_000, 10, 40.0), 0.001)
    assert tight["error-rate"].roll_back_above == pytest.approx(0.0053, abs=0.0002)
    assert tight["latency-p95"].promote_at_most == 45.0
    bad = limits_alone(SLO, RecordedStable(1000, 300, 4000.0), 0.001)
    assert (bad["error-rate"].roll_back_above, bad["latency-p95"].promote_at_most) == (0.01, 200)


def test_a_plan_without_objectives_is_limited_by_the_record() -> None:
    limits = limits_alone({}, RecordedStable(10_000, 0, 20.0), 0.001)
    assert limits["error-rate"].roll_back_above == pytest.approx(0.005 + 0.0007, abs=0.0002)
    assert limits["latency-p95"].promote_at_most == 25.0


def test_few_requests_of_stable_allow_more_than_many() -> None:
    few, many = (limits_alone({}, RecordedStable(n, 0, 20.0), 0.001)["error-rate"] for n in (100, 10_000))
    assert few.roll_back_above > many.roll_back_above
