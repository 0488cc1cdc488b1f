"""What a tick does in every situation where the judge looks at counters, on a simulated clock."""

from dataclasses import replace

import pytest

from processes.errors import CollectError
from rollouts.counters import ArmCounters, Reading
from rollouts.lived import READINGS, rollout_of
from rollouts.observation import EPOCH_REQUESTS
from rollouts.orders import abort, resume
from rollouts.production import is_settled, measurement_of
from tests.unit.rollouts.simulated import Simulation, spec_of
from tests.unit.rollouts.test_tick import SHORT, through

SLOW_MS, TOO_SLOW_MS = 200.0, 500.0
COUNTERS = {
    "from": "metrics",
    "stable": "http://stable/metrics",
    "candidate": "http://candidate/metrics",
    "metrics": {
        "failed-checkouts": {
            "bad": "checkouts_failed_total",
            "of": "checkouts_total",
            "worse_than_stable_by": "2pp",
            "roll_back_above": "5%",
        }
    },
}


class Counters:
    """Counts what the simulated router serves, as both versions would; every tenth request is a checkout."""

    def __init__(self):
        self.log, self.counted, self.broken = [], 0, None
        self.failed_checkouts, self.slow = {"stable": 0.0, "canary": 0.0}, 0.0
        self.arms = {arm: ArmCounters(0, 0, 0, 0, 0, {"failed-checkouts": (0, 0)}) for arm in ("stable", "canary")}

    def read(self):
        if self.broken is not None:
            raise CollectError(self.broken)
        for place in range(self.counted, len(self.log)):
            request = self.log[place]
            arm, checkout = self.arms[request.backend], place % 10 == 0
            bad, of = arm.metrics["failed-checkouts"]
            failed = checkout and place % 1000 < 1000 * self.failed_checkouts[request.backend]
            is_slow = request.backend == "canary" and place % 100 < 100 * self.slow
            self.arms[request.backend] = ArmCounters(
                arm.requests + 1,
                arm.errors + request.is_error,
                arm.rejections + request.is_rejection,
                arm.slow + is_slow,
                arm.too_slow,
                {"failed-checkouts": (bad + failed, of + checkout)},
            )
        self.counted = len(self.log)
        return Reading(self.arms["stable"], self.arms["canary"], self.now().timestamp(), SLOW_MS, TOO_SLOW_MS)


def counted(folder, stages=SHORT, **more):
    counters = Counters()
    simulation = Simulation(
        folder, spec_of(stages, **{"watch": "5m", "judge": COUNTERS} | more), counters=counters.read
    )
    counters.log, counters.now = simulation.router.log, lambda: simulation.at
    for name in ("latency-mean", "availability", "consecutive-failures"):
        simulation.slo.pop(name, None)
    return simulation, counters


def material(simulation):
    measured = measurement_of(simulation.rollout)
    attachments = {a.name: a.content for a in measured.attachments}
    assert rollout_of(attachments, "embedded") == measured.result
    assert READINGS in attachments
    return measured


def test_a_good_candidate_goes_through_all_stages_by_counters_alone(tmp_path):
    simulation, _ = counted(tmp_path)
    simulation.router.requests_since = None  # nobody reads the log
    through(simulation, until=lambda state: state.ended)
    assert simulation.state.outcome == "completed", simulation.waits
    measured = material(simulation)
    result = measured.result
    assert measured.outcome == "passed"
    assert [stage.stage for stage in result.stages] == ["canary", "ab-test", "full", "watch"]
    names = ["error-rate", "rejection-rate", "latency-p95", "failed-checkouts"]
    assert [metric.name for metric in result.stages[0].metrics] == names
    assert result.stages[0].canary.p95_ms == SLOW_MS  # at most that: no more can be told
    canary = [request for request in simulation.router.log if request.backend == "canary"]
    assert len(canary) - 50 * len(result.stages) <= result.canary_requests <= len(canary)
    assert result.users_exposed is None
    assert [(left.what, left.count) for left in measured.left_out] == [
        ("users of canary requests", result.canary_requests)
    ]


@pytest.mark.parametrize("worse", ["errors", "latency", "a metric of the plan"])
def test_a_bad_candidate_is_taken_back_and_leaves_evidence(tmp_path, worse):
    simulation, counters = counted(tmp_path)
    through(simulation, until=lambda state: state.stage == 0)
    if worse == "errors":
        simulation.router.canary_errors = 0.06
    elif worse == "latency":
        counters.slow = 0.4
    else:
        counters.failed_checkouts["canary"] = 0.2
    through(simulation, until=lambda state: state.ended)
    assert simulation.state.outcome == "rolled-back"
    assert simulation.router.slots == 0
    assert {"errors": "error-rate", "latency": "latency-p95"}.get(worse, "failed-checkouts") in simulation.state.why
    simulation.pass_time(10, requests=100)
    assert is_settled(simulation.rollout, simulation.state)
    result = material(simulation).result
    assert (result.outcome, result.stages_completed) == ("rolled-back", 0)
    assert result.harm_to_stable_ms == 0.0  # on a clock that stands still within a tick
    canary = [request for request in simulation.router.log if request.backend == "canary"]
    assert result.canary_requests == len(canary)
    assert result.canary_errors == sum(request.is_error for request in canary)


def test_counters_that_cannot_be_read_promote_nothing_and_freeze_until_people_resume(tmp_path):
    simulation, counters = counted(tmp_path)
    through(simulation, until=lambda state: state.stage == 0)
    counters.broken = "http://candidate/metrics answered 500"
    simulation.pass_time(10, requests=500)
    assert simulation.state.hold == ""
    assert simulation.waits.why == "the counters cannot be read: http://candidate/metrics answered 500"
    simulation.pass_time(40, requests=2000, ticks=4)
    assert simulation.state.hold == "frozen"
    assert simulation.state.why == "the counters were not read for 40 s: http://candidate/metrics answered 500"
    assert simulation.router.slots == 1000
    counters.broken = None
    resume(simulation.rollout, "they are back")
    through(simulation, until=lambda state: state.outcome == "completed")
    material(simulation)


def test_after_one_tick_that_could_not_read_the_rollout_goes_on(tmp_path):
    simulation, counters = counted(tmp_path, silence="2h")
    through(simulation, until=lambda state: state.stage == 0)
    counters.broken = "a time-out"
    simulation.pass_time(3600)  # no tick for an hour, and then one that cannot read
    assert simulation.state.hold == ""
    counters.broken = None
    through(simulation, until=lambda state: state.outcome == "completed")


def test_a_sick_baseline_and_silence_freeze(tmp_path):
    simulation, _ = counted(tmp_path)
    through(simulation, until=lambda state: state.stage == 0)
    simulation.router.stable_errors = 0.05
    through(simulation, until=lambda state: state.hold == "frozen", minutes=3)
    assert "the baseline is sick" in simulation.state.why
    simulation.router.stable_errors = 0.0
    resume(simulation.rollout, "stable is well again")
    simulation.pass_time(1, requests=50)
    simulation.pass_time(400)
    assert simulation.state.hold == "frozen"
    assert "no request was seen" in simulation.state.why


def test_a_limit_that_acts_at_once_acts_on_counters(tmp_path):
    simulation, _ = counted(tmp_path)
    through(simulation, until=lambda state: state.stage == 0)
    simulation.router.canary_errors = 0.5
    simulation.pass_time(30, requests=3000)
    assert simulation.state.outcome == "rolled-back"
    assert "in the last" in simulation.state.why


def test_an_outage_of_both_versions_freezes_a_rollout_that_counters_judge(tmp_path):
    simulation, _ = counted(tmp_path)
    through(simulation, until=lambda state: state.stage == 0)
    simulation.router.canary_errors = simulation.router.stable_errors = 0.5
    simulation.pass_time(30, requests=3000)
    assert (simulation.state.hold, simulation.state.outcome) == ("frozen", "")


def test_a_version_that_is_started_again_counts_from_zero(tmp_path):
    simulation, counters = counted(tmp_path)
    through(simulation, until=lambda state: state.stage == 0)
    simulation.pass_time(60, requests=3000)
    zero = Counters()
    counters.arms["canary"] = zero.arms["canary"]
    simulation.pass_time(60, requests=3000)
    kept = simulation.store.requests(simulation.store.load().epoch)
    assert kept[-1].canary.requests < kept[-2].canary.requests
    through(simulation, until=lambda state: state.outcome == "completed")
    assert material(simulation).outcome == "passed"


def test_an_abort_is_evidence_too(tmp_path):
    simulation, _ = counted(tmp_path)
    through(simulation, until=lambda state: state.stage == 0)
    simulation.pass_time(60, requests=3000)
    abort(simulation.rollout, "a customer complained")
    simulation.pass_time(1, requests=100)
    assert simulation.state.outcome == "aborted"
    assert material(simulation).result.stages[0].why == "a customer complained"


def test_a_long_stage_keeps_a_bounded_number_of_readings_and_counts_all(tmp_path):
    stages = [SHORT[0] | {"minimum": "30d"}, *SHORT[1:]]
    simulation, _ = counted(tmp_path, stages)
    simulation.pass_time(60)
    simulation.pass_time(3600, requests=3 * EPOCH_REQUESTS, ticks=300)
    observation = simulation.store.load()
    kept = simulation.store.requests(observation.epoch)
    assert len(kept) < 200
    assert observation.stage_epoch == 2  # of checkouts, 1,000 must fit in
    assert simulation.store.requests(observation.epoch - 1) == []
    assert simulation.state.hold == ""
    canary = sum(request.backend == "canary" for request in simulation.router.log)
    in_epoch = kept[-1].canary.requests - kept[0].canary.requests
    unkept = observation.latest.canary.requests - kept[-1].canary.requests
    counted_before = observation.earlier_canary.requests + observation.uncounted.requests
    assert counted_before + in_epoch + unkept == canary


def test_the_plans_own_metrics_share_the_budget(tmp_path):
    simulation, _ = counted(tmp_path)
    through(simulation, until=lambda state: state.stage == 1)
    promoted = next(entry for entry in simulation.journal.entries() if entry.action == "promote")
    share = replace(simulation.store.load(), stage_epoch=1).budget_share
    assert promoted.detail["rules"]["harm_alpha"] == pytest.approx(0.01 / (4 * 4) * share)
