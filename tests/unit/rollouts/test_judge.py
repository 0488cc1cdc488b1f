import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision.objectives import Objective, Slo
from evidence.results import ArmCounts
from rollouts.judge import Judgement, judge
from rollouts.judge_alone import judge_alone
from rollouts.samples import Requests

SLO: Slo = {
    "error-rate": Objective.model_validate(
        {"unit": "ratio", "promote_at_most": "0.5%", "roll_back_above": "1%", "worse_than_stable_by": "0.5pp"}
    ),
    "latency-p95": Objective.model_validate({"unit": "ms", "promote_at_most": 200, "worse_than_stable_by": "10%"}),
}


def stream(
    seed: int, count: int, *, share: float = 0.05, canary: float = 0.0, stable: float = 0.0,
    median_ms: float = 3.0, slower: float = 1.0, rejected: float = 0.0,
) -> Requests:  # fmt: skip
    rng = np.random.default_rng(seed)
    is_canary = rng.random(count) < share
    return Requests(
        is_canary=is_canary,
        error=(rng.random(count) < np.where(is_canary, canary, stable)).astype(float),
        latency_ms=median_ms * np.exp(0.5 * rng.normal(size=count)) * np.where(is_canary, slower, 1.0),
        rejected=((rng.random(count) < rejected) & is_canary).astype(float),
    )


def first(requests: Requests, count: int) -> Requests:
    return Requests(
        requests.is_canary[:count], requests.error[:count], requests.latency_ms[:count], requests.rejected[:count]
    )


def verdicts(judgement: Judgement) -> dict[str, str]:
    return {metric.name: metric.verdict for metric in judgement.metrics}


def quick(requests: Requests, alpha: float = 0.01) -> Judgement:
    return judge(requests, SLO, harm_alpha=alpha, intervals=False)


@pytest.mark.parametrize(("share", "error"), [(0.05, 0.01), (0.5, 0.01), (0.5, 0.2)])
def test_an_equal_canary_is_hardly_ever_called_harmful_however_often_one_looks(share: float, error: float) -> None:
    """Harm shows in the highest evidence so far: the last look knows of every earlier one."""
    runs, alpha = 200, 0.1
    alarms = sum(
        quick(stream(seed, 4000, share=share, canary=error, stable=error, median_ms=30), alpha).verdict == "harm"
        for seed in range(runs)
    )
    assert alarms <= runs * alpha + 3 * (runs * alpha * (1 - alpha)) ** 0.5


def test_looking_after_every_ten_requests_finds_what_the_last_look_finds() -> None:
    requests = stream(3, 1500, share=0.2, canary=0.1, stable=0.02)
    ever = any(quick(first(requests, count)).verdict == "harm" for count in range(10, 1501, 10))
    assert ever == (quick(requests).verdict == "harm") == True  # noqa: E712


def test_six_percent_errors_at_a_five_percent_share_are_shown_within_300_canary_requests() -> None:
    alarms = []
    for seed in range(40):
        metric = quick(stream(seed, 10_000, canary=0.06), 0.01 / 3).metrics[0]
        assert metric.verdict == "harm"
        alarms.append(metric.first_alarm_at or 0)
    assert np.median(alarms) < 150
    assert max(alarms) < 300


def test_a_clean_canary_is_non_inferior_after_a_thousand_requests() -> None:
    for seed in range(20):
        judgement = quick(stream(seed, 21_000))
        assert judgement.verdict == "non-inferior"
        assert judgement.needs_requests == 0


def test_a_canary_that_is_worse_by_the_margin_is_hardly_ever_called_non_inferior() -> None:
    runs = 200
    wrong = sum(
        verdicts(quick(stream(seed, 6000, share=0.5, canary=0.015, stable=0.01)))["error-rate"] == "non-inferior"
        for seed in range(runs)
    )
    assert wrong <= runs * 0.05 + 3 * (runs * 0.05 * 0.95) ** 0.5


def test_a_canary_that_turns_bad_late_is_found_soon() -> None:
    good, bad = stream(1, 40_000, share=0.5), stream(2, 1000, share=0.5, canary=0.06)
    both = Requests(*(np.concatenate([getattr(good, name), getattr(bad, name)]) for name in Requests.__annotations__))
    judgement = quick(both)
    assert judgement.verdict == "harm"
    assert (judgement.metrics[0].first_alarm_at or 0) > good.is_canary.sum()


def test_a_slower_canary_is_harmful_and_a_noticeably_equal_one_is_not() -> None:
    assert verdicts(quick(stream(1, 8000, share=0.5, median_ms=30, slower=1.6)))["latency-p95"] == "harm"
    assert verdicts(quick(stream(2, 8000, share=0.5, median_ms=30)))["latency-p95"] == "non-inferior"
    assert verdicts(quick(stream(3, 8000, share=0.5, median_ms=1, slower=2)))["latency-p95"] == "non-inferior"


def test_load_that_both_arms_share_is_not_the_canary_s_fault() -> None:
    requests = stream(4, 8000, share=0.5, median_ms=20)
    wave = 1 + 2 * (np.sin(np.arange(8000) / 300) > 0)
    burst = (np.arange(8000) % 2000 < 60).astype(float)
    shared = Requests(requests.is_canary, burst, requests.latency_ms * wave, requests.rejected)
    assert judge(shared, SLO, harm_alpha=0.01).verdict != "harm"


def test_a_canary_that_rejects_what_stable_accepts_is_harmful() -> None:
    judgement = quick(stream(1, 4000, rejected=0.9))
    assert verdicts(judgement)["rejected-rate"] == "harm"
    assert judgement.verdict == "harm"


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 300), st.sampled_from(["error", "latency_ms"]), st.booleans())
def test_nothing_and_nan_are_never_non_inferior(seed: int, count: int, field: str, only_nan: bool) -> None:
    requests = stream(seed, count, share=0.5)
    assert quick(requests).verdict == "not-proven"
    many = stream(seed, 4000, share=0.5)
    values = getattr(many, field).copy()
    values[:: 1 if only_nan else 1999] = np.nan
    broken = Requests(**{**{name: getattr(many, name) for name in Requests.__annotations__}, field: values})
    assert quick(broken).verdict == "not-proven"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_arm_alone_is_not_proven(share: float) -> None:
    assert quick(stream(1, 3000, share=share)).verdict == "not-proven"


def test_the_forecast_is_about_what_is_then_needed() -> None:
    judgement = quick(stream(7, 6000))
    seen = int(stream(7, 6000).is_canary.sum())
    assert judgement.verdict == "not-proven"
    assert judgement.needs_requests is not None
    assert 600 < seen + judgement.needs_requests < 1100


def test_a_verdict_is_the_same_with_intervals_and_the_interval_agrees_with_it() -> None:
    for seed in range(6):
        requests = stream(seed, 3000, share=0.5, canary=0.002 * seed, stable=0.002, median_ms=20)
        slow, fast = judge(requests, SLO, harm_alpha=0.01), quick(requests)
        assert verdicts(slow) == verdicts(fast)
        rate = slow.metrics[0]
        assert rate.interval is not None
        assert rate.interval.high is not None
        if rate.verdict == "non-inferior":
            assert rate.interval.high <= rate.margin + 0.0005


def test_a_million_requests_are_judged_in_a_blink() -> None:
    requests = stream(1, 1_000_000, share=0.5, canary=0.01, stable=0.01)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        quick(requests)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.2


def counts(error_rate: float) -> ArmCounts:
    return ArmCounts(requests=1000, errors=int(1000 * error_rate), error_rate=error_rate, mean_ms=3, p95_ms=5)


def test_alone_a_clean_candidate_is_non_inferior_after_a_thousand_requests() -> None:
    assert judge_alone(stream(1, 1000, share=1.0), SLO, counts(0.0), harm_alpha=0.01).verdict == "non-inferior"
    assert judge_alone(stream(1, 300, share=1.0), SLO, counts(0.0), harm_alpha=0.01).verdict == "not-proven"


def test_alone_a_failing_or_slow_candidate_is_harmful() -> None:
    assert judge_alone(stream(1, 2000, share=1.0, canary=0.06), SLO, None, harm_alpha=0.01).verdict == "harm"
    assert judge_alone(stream(1, 2000, share=1.0, median_ms=300), SLO, None, harm_alpha=0.01).verdict == "harm"


def test_alone_nothing_is_shown_without_limits_or_requests() -> None:
    assert judge_alone(stream(1, 2000, share=1.0), {}, None, harm_alpha=0.01).verdict == "not-proven"
    assert judge_alone(stream(1, 0), SLO, counts(0.0), harm_alpha=0.01).verdict == "not-proven"
