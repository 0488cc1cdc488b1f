"""Where a plan's judge may look, and what it is told when nothing could ever be seen there."""

from pathlib import Path

import pytest

from decision.plan_file import PlanError, read_plan
from tests.unit.decision.factories import PLAN

JUDGE = '  judge: {from: metrics, stable: "http://a/metrics", candidate: "http://b/metrics"}\n'
PROMETHEUS = (
    '  judge: {from: prometheus, url: "http://127.0.0.1:9090", job: shop, stable: one, candidate: two,\n'
    "          metrics: {failed-checkouts: {bad: failed_total, of: checkouts_total, worse_than_stable_by: 1pp}}}\n"
)
LATENCY = "  latency-p95: {unit: ms, promote_at_most: 200, roll_back_above: 500}\n"
GATEWAY = "  router: {kind: gateway-api, namespace: ion, route: shop, stable: one, candidate: two}\n"


def plan_of(path: Path, *, slo: str = LATENCY, rollout: str = JUDGE) -> Path:
    path.write_text(PLAN.replace("profiles:\n", slo + "profiles:\n").replace("schedule:", rollout + "schedule:"))
    return path


def test_counters_are_looked_at_where_the_plan_says_so(plan_path: Path) -> None:
    assert read_plan(plan_path).plan.rollout.counters is None
    assert read_plan(plan_of(plan_path)).plan.rollout.counters is not None
    spec = read_plan(plan_of(plan_path, rollout=PROMETHEUS + GATEWAY)).plan.rollout
    assert spec.judged_metrics == 4
    assert spec.plan_metrics["failed-checkouts"].worse_than_stable_by.absolute == 0.01
    kept = spec.model_dump(mode="json", by_alias=True)
    assert kept["judge"]["from"] == "prometheus"


@pytest.mark.parametrize(
    ("slo", "rollout", "expected"),
    [
        ("", JUDGE, "rollout.judge: counters tell no latencies"),
        (LATENCY.replace("promote_at_most: 200, ", ""), JUDGE, "expected latency-p95 with promote_at_most in slo"),
        (LATENCY + "  availability: {unit: ratio, roll_back_below: 99%}\n", JUDGE, "do not tell availability"),
        (LATENCY + "  consecutive-failures: {unit: count, roll_back_above: 9}\n", JUDGE, "consecutive-failures"),
        (LATENCY + "  memory: {unit: ratio, roll_back_above: 85%}\n", JUDGE, "expected rollout.memory_limit"),
        (LATENCY, JUDGE.replace("metrics,", "guesses,"), "rollout.judge"),
        (LATENCY, JUDGE.replace("http://a", "a"), "rollout.judge"),
        (LATENCY, PROMETHEUS.replace("bad: failed_total", "bad: sum(failed_total)"), "expected the name of a counter"),
        (LATENCY, PROMETHEUS.replace("bad: failed_total", "bad: checkouts_total"), "bad and of are the same counter"),
        (LATENCY, PROMETHEUS.replace("failed-checkouts", "error-rate"), "error-rate is judged by its own name already"),
        (LATENCY, PROMETHEUS.replace("job: shop", "job: 'a\"b'"), "rollout.judge"),
        ("", GATEWAY, "needs either a request_log or a judge that looks at counters"),
        (LATENCY, JUDGE + GATEWAY.replace("}", ", request_log: a.log}"), "needs either a request_log or a judge"),
    ],
)
def test_what_counters_could_never_tell_is_an_error_of_the_plan(
    plan_path: Path, slo: str, rollout: str, expected: str
) -> None:
    with pytest.raises(PlanError) as caught:
        read_plan(plan_of(plan_path, slo=slo, rollout=rollout))
    assert expected in str(caught.value)


def test_users_of_an_ab_test_are_in_no_counter(plan_path: Path) -> None:
    stages = (
        "[{name: ab-test, share: 50%, metrics: {bought: {type: proportion, baseline: 42%, expected: 48%}}}, "
        "{name: full, share: 100%}]"
    )
    text = plan_of(plan_path).read_text().replace("[{name: full, share: 100%}]", stages)
    plan_path.write_text(text)
    with pytest.raises(PlanError, match="counters \\(judge\\) tell no users"):
        read_plan(plan_path)
