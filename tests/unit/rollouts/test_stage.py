from dataclasses import replace

import pytest

from decision.objectives import Stage
from rollouts.stage import Seen, next_step
from rollouts.triggers import CanaryWindow
from tests.unit.rollouts.requests import SLO, routed

CANARY = Stage.model_validate({"name": "canary", "share": "5%", "requests": 1000})
FULL = Stage.model_validate({"name": "full", "share": "100%"})
GOOD = routed(21_000)


def seen(requests, **changes):
    values = {"windows": (), "failures_in_a_row": 0, "elapsed_s": 60.0, "silent_s": 0.0, "traffic_alive": True}
    return Seen(requests=requests, **(values | changes))


def step(what, stage=CANARY):
    return next_step(what, stage, SLO, minimum_s=10, harm_alpha=0.0025, silence_at_most_s=10)


def test_a_good_canary_is_promoted_after_time_and_requests():
    assert step(seen(GOOD)).action == "promote"
    assert step(seen(GOOD, elapsed_s=5)).action == "wait"
    assert step(seen(GOOD[:15_000])).action == "wait"


def test_waiting_says_what_is_missing():
    assert "of 1000 canary requests" in step(seen(GOOD[:15_000])).why


def test_a_canary_that_is_slower_than_the_margin_is_not_promoted_though_few_of_its_requests_are():
    # 4 % of its requests take 400 ms: within the five points of the judge's test. P95 is 15 % above stable's.
    slower = [
        replace(r, latency_ms=400.0) if r.backend == "canary" and number % 25 == 1 else r
        for number, r in enumerate(routed(100_000, canary_ms=100, stable_ms=100))
    ]
    decided = step(seen(slower))
    assert decided.action == "wait"
    assert decided.why == "latency-p95 is 187.9 beside 164 of stable"
    assert {metric.verdict for metric in decided.metrics} == {"non-inferior"}


def test_harm_is_rolled_back():
    decided = step(seen(routed(20_000, canary_errors=0.025)))
    assert decided.action == "roll-back"
    assert "harm shown: error-rate" in decided.why


def test_a_hard_limit_is_rolled_back_before_anything_else():
    window = CanaryWindow(200, 0, 0, 900.0)
    decided = step(seen(GOOD, windows=[window] * 3, traffic_alive=False))
    assert decided.action == "roll-back"


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (seen(GOOD, traffic_alive=False), "stopped"),
        (seen(GOOD, silent_s=20), "no request"),
        (seen(routed(21_000, stable_errors=0.03)), "baseline is sick"),
        (seen(routed(21_000, share=0.2)), "expected 5.0%"),
        (seen([], silent_s=20), "no request"),
    ],
)
def test_what_makes_judging_worthless_freezes_and_never_promotes(what, why):
    decided = step(what)
    assert decided.action == "freeze"
    assert why in decided.why


MEASURED, UNMEASURED = CanaryWindow(200, 0, 0, 9.0, 0.1, 0.1), CanaryWindow(200, 0, 0, 9.0)


def asking(what, **changes):
    values = {"minimum_s": 10, "harm_alpha": 0.0025, "silence_at_most_s": 10, "unmeasured_windows": 3}
    return next_step(what, CANARY, SLO, **(values | changes))


def test_a_limited_resource_that_nobody_measures_freezes_and_never_promotes():
    assert asking(seen(GOOD, windows=[MEASURED])).action == "promote"
    assert asking(seen(GOOD, windows=[UNMEASURED])).action == "wait"
    assert "memory was not measured" in asking(seen(GOOD)).why
    frozen = asking(seen(GOOD, windows=[MEASURED, *[UNMEASURED] * 3]))
    assert frozen.action == "freeze"
    assert "memory was not measured in 3" in frozen.why


def test_harm_is_rolled_back_also_when_resources_are_not_measured():
    assert asking(seen(routed(20_000, canary_errors=0.025), windows=[UNMEASURED] * 9)).action == "roll-back"


def test_evidence_of_a_time_when_resources_were_not_asked_for_is_decided_as_then():
    assert asking(seen(GOOD, windows=[UNMEASURED] * 9), unmeasured_windows=None).action == "promote"


def test_at_full_share_the_plans_limits_decide():
    assert step(seen(routed(800, share=1.0)), FULL).action == "promote"
    assert step(seen(routed(800, share=1.0, canary_errors=0.008)), FULL).action == "wait"
    assert step(seen(routed(800, share=1.0, canary_errors=0.06)), FULL).action == "roll-back"
    assert step(seen(routed(800, share=1.0, canary_ms=400)), FULL).action == "roll-back"
    assert step(seen(routed(100, share=1.0)), FULL).action == "wait"


def test_a_canary_that_turned_bad_late_is_not_promoted():
    late = [replace(r, at_s=r.at_s + 1000) for r in routed(20_000, seed=1, canary_errors=0.03)]
    assert step(seen([*routed(80_000), *late])).action != "promote"
