"""What a tick does in every situation, on a simulated clock."""

from datetime import timedelta

import pytest

from processes.errors import ProcessError, UsageError
from rollouts.lived import rollout_of
from rollouts.observation import EPOCH_REQUESTS
from rollouts.orders import abort, pause, resume
from rollouts.production import is_settled, measurement_of
from rollouts.tick import tick
from tests.unit.rollouts.simulated import Simulation, spec_of

SHORT = [
    {"name": "canary", "share": "10%", "minimum": "2m", "requests": 500, "salt": "a"},
    {"name": "ab-test", "share": "50%", "minimum": "2m", "requests": 500, "salt": "b"},
    {"name": "full", "share": "100%", "requests": 300},
]


@pytest.fixture
def simulation(tmp_path):
    return Simulation(tmp_path, spec_of(SHORT, watch="5m"))


def through(simulation, *, until, minutes=60):
    for _ in range(minutes):
        if until(simulation.pass_time(60, requests=3000)):
            return
    pytest.fail(f"not within {minutes} minutes: {simulation.did()} {simulation.waits}")


def material(simulation):
    measured = measurement_of(simulation.rollout)
    attachments = {a.name: a.content for a in measured.attachments}
    assert rollout_of(attachments, "embedded") == measured.result
    return measured


def test_a_good_candidate_goes_through_all_stages_and_the_watch(simulation):
    through(simulation, until=lambda state: state.ended)
    assert simulation.did() == [
        "start", "expose", "promote", "expose", "promote", "expose", "promote", "watch", "promote", "complete"
    ]  # fmt: skip
    assert simulation.router.slots == 10_000
    assert simulation.router.read().lease_left_s > 365 * 86400
    measured = material(simulation)
    assert measured.outcome == "passed"
    assert [stage.stage for stage in measured.result.stages] == ["canary", "ab-test", "full", "watch"]
    assert measured.result.mode == "production"
    canary = [request for request in simulation.router.log if request.backend == "canary"]
    assert measured.result.canary_requests == len(canary)
    assert measured.result.users_exposed == len({request.user_hash for request in canary})


def test_a_bad_candidate_is_taken_back_at_any_hour_and_leaves_evidence(tmp_path):
    hours = {"promote": "Wed 14:00-14:02"}  # the simulation begins on a Wednesday at 14:00 UTC
    simulation = Simulation(tmp_path, spec_of(SHORT, windows=hours, watch="5m"))
    through(simulation, until=lambda state: state.stage == 0)
    through(simulation, until=lambda state: "working hours" in simulation.waits.why)
    simulation.router.canary_errors = 0.06
    through(simulation, until=lambda state: state.ended)
    assert simulation.did()[-1] == "roll-back"
    assert simulation.router.slots == 0
    simulation.pass_time(10, requests=100)
    assert is_settled(simulation.rollout, simulation.state)
    result = material(simulation).result
    assert (result.outcome, result.stages_completed) == ("rolled-back", 0)
    assert result.canary_errors > 0
    assert result.harm_to_stable_ms == 0.0  # on a clock that stands still within a tick


def test_nothing_begins_before_what_its_authorization_lacks_is_there(simulation):
    simulation.lacking = {"canary": "awaiting approval of Ada", "ab-test": "awaiting approval of Grace"}
    simulation.pass_time(60, requests=100)
    assert simulation.waits.why == "awaiting approval of Ada"
    assert simulation.router.slots == 0
    del simulation.lacking["canary"]
    through(simulation, until=lambda state: simulation.waits.why == "awaiting approval of Grace")
    assert simulation.router.slots == 1000
    assert simulation.router.read().lease_left_s == simulation.lease_s
    del simulation.lacking["ab-test"]
    through(simulation, until=lambda state: state.stage == 1, minutes=1)


def test_a_pause_keeps_the_share_and_judges_on(simulation):
    through(simulation, until=lambda state: state.stage == 0)
    pause(simulation.rollout, "a holiday")
    with pytest.raises(UsageError, match="paused already"):
        pause(simulation.rollout, "another")
    for _ in range(10):
        simulation.pass_time(60, requests=3000)
    assert simulation.waits.why.startswith("paused: a holiday")
    assert (simulation.state.stage, simulation.router.slots) == (0, 1000)
    resume(simulation.rollout, "back")
    through(simulation, until=lambda state: state.stage == 1, minutes=1)
    pause(simulation.rollout, "again")
    simulation.router.canary_errors = 0.2
    through(simulation, until=lambda state: state.outcome == "rolled-back", minutes=2)


def test_an_abort_takes_everything_to_stable_and_is_evidence_of_no_success(simulation):
    through(simulation, until=lambda state: state.stage == 0)
    simulation.pass_time(60, requests=3000)
    abort(simulation.rollout, "a customer complained")
    simulation.pass_time(1, requests=100)
    assert simulation.state.outcome == "aborted"
    assert simulation.router.slots == 0
    measured = material(simulation)
    assert measured.outcome == "inconclusive"
    assert measured.result.stages[0].why == "a customer complained"
    with pytest.raises(UsageError, match="has ended: aborted"):
        abort(simulation.rollout, "once more")


def test_a_sick_baseline_freezes_until_people_resume(simulation):
    through(simulation, until=lambda state: state.stage == 0)
    simulation.router.stable_errors = 0.05
    through(simulation, until=lambda state: state.hold == "frozen", minutes=3)
    assert "the baseline is sick" in simulation.state.why
    simulation.router.stable_errors = 0.0
    for _ in range(10):
        simulation.pass_time(60, requests=3000)
    assert simulation.state.hold == "frozen"
    assert simulation.router.slots == 1000
    assert simulation.did().count("freeze") == 1
    resume(simulation.rollout, "stable is well again")
    through(simulation, until=lambda state: state.stage == 1)


def test_silence_and_a_router_that_splits_wrongly_freeze(simulation):
    through(simulation, until=lambda state: state.stage == 0)
    simulation.pass_time(400)
    assert simulation.state.hold == "frozen"
    assert "no request was seen" in simulation.state.why
    resume(simulation.rollout, "it was night")
    simulation.pass_time(60, requests=3000)
    assert simulation.state.hold == ""
    wrong = simulation.router.read
    simulation.router.slots = 9000
    simulation.router.read = lambda: wrong().__class__(1000, wrong().salt_key, 1.0)
    simulation.pass_time(60, requests=3000)
    assert simulation.state.hold == "frozen"


def test_a_router_that_was_restarted_is_told_again_and_judged_anew(simulation):
    through(simulation, until=lambda state: state.stage == 0)
    simulation.pass_time(60, requests=3000)
    seen = simulation.store.load()
    simulation.router.set_share(0, "")
    simulation.router.lease_until_s = 0.0
    simulation.pass_time(60, requests=3000)
    assert simulation.router.slots == 1000
    assert simulation.did()[-1] == "restore"
    now = simulation.store.load()
    assert (now.stage, now.stage_epoch) == (seen.stage, seen.stage_epoch + 1)
    assert (
        now.earlier_stable.requests + now.earlier_canary.requests == 2999
    )  # the first one was too close to the change
    through(simulation, until=lambda state: state.stage == 1)


def test_time_without_a_lease_does_not_count_for_the_stage(tmp_path):
    stages = [SHORT[0] | {"minimum": "1h"}, *SHORT[1:]]
    simulation = Simulation(tmp_path, spec_of(stages), lease_s=60.0)
    simulation.pass_time(60)
    began_at = simulation.at
    for _ in range(10):
        simulation.pass_time(60, requests=3000)
    assert simulation.waits.next_at == began_at + timedelta(hours=1)
    simulation.pass_time(7200, requests=3000)
    assert simulation.state.stage == 0
    assert simulation.waits.next_at == began_at + timedelta(hours=1, seconds=7200 - 60)


def test_a_version_that_turns_bad_in_the_watch_is_taken_back(simulation):
    through(simulation, until=lambda state: state.phase == "watch")
    simulation.router.canary_errors = 0.02
    through(simulation, until=lambda state: state.ended)
    assert simulation.state.outcome == "rolled-back"
    assert simulation.router.slots == 0
    simulation.pass_time(10, requests=100)
    assert material(simulation).result.stages[-1].stage == "watch"


def test_a_watched_version_that_is_worse_than_stable_was_is_frozen_and_by_the_plans_limits_taken_back(tmp_path):
    # The plan alone would allow 10 % errors; stable had none.
    simulation = Simulation(tmp_path, spec_of(SHORT, watch="1h"))
    loose = simulation.slo["error-rate"].model_copy(
        update={"roll_back_above": 0.10, "promote_at_most": None, "roll_back_at_once_above": None}
    )
    simulation.slo = {"error-rate": loose}
    through(simulation, until=lambda state: state.phase == "watch")
    simulation.router.canary_errors = 0.03  # by another version, or by another hour: nobody can tell
    through(simulation, until=lambda state: state.hold == "frozen")
    assert "worse than stable was before it (harm shown: error-rate" in simulation.state.why
    assert simulation.state.phase == "watch"
    simulation.router.canary_errors = 0.2
    through(simulation, until=lambda state: state.ended)
    assert simulation.state.outcome == "rolled-back"
    assert material(simulation).outcome == "failed"


def test_what_cannot_be_undone_freezes_once_and_is_not_rolled_back(tmp_path):
    stages = [SHORT[0], SHORT[1] | {"irreversible": "the tables are migrated"}, SHORT[2]]
    simulation = Simulation(tmp_path, spec_of(stages, watch="5m"))
    through(simulation, until=lambda state: state.stage == 1)
    assert simulation.router.read().lease_left_s > 365 * 86400  # there is no stable version to fall back to
    simulation.router.canary_errors = 0.2
    for _ in range(5):
        simulation.pass_time(60, requests=3000)
    assert simulation.did().count("freeze") == 1
    assert "the tables are migrated" in simulation.state.why
    assert simulation.router.slots == 5000
    with pytest.raises(UsageError, match="there is no way back: the tables are migrated"):
        abort(simulation.rollout, "stop")
    abort(simulation.rollout, "stop", despite_irreversible=True)
    simulation.pass_time(1)
    assert simulation.router.slots == 0


def test_without_an_obedient_router_no_lease_is_renewed(simulation):
    through(simulation, until=lambda state: state.stage == 0)
    left_s = simulation.router.read().lease_left_s

    def fail(cursor):
        raise ProcessError("no log")

    simulation.router.requests_since = fail
    simulation.at += timedelta(seconds=60)
    with pytest.raises(ProcessError):
        tick(simulation.rollout)
    assert simulation.router.read().lease_left_s == left_s - 60


def test_a_long_stage_keeps_a_bounded_number_of_requests_and_counts_all(tmp_path):
    stages = [SHORT[0] | {"minimum": "30d"}, *SHORT[1:]]
    simulation = Simulation(tmp_path, spec_of(stages))
    simulation.pass_time(60)
    simulation.pass_time(3600, requests=120_000, ticks=6)
    observation = simulation.store.load()
    kept = len(simulation.store.requests(observation.epoch))
    assert kept < EPOCH_REQUESTS
    assert observation.stage_epoch == 3
    assert simulation.store.requests(observation.epoch - 1) == []
    assert observation.earlier_stable.requests + observation.earlier_canary.requests + kept == 119_999
    assert simulation.state.hold == ""


def test_a_tick_that_stood_still_between_decision_and_action_raises_no_share(simulation):
    read = simulation.router.read

    def stop_and_read():
        if simulation.journal.entries()[-1].action == "expose":
            simulation.at += timedelta(seconds=simulation.lease_s + 1)
        return read()

    simulation.router.read = stop_and_read
    with pytest.raises(ProcessError, match="this tick stood still for 3601 s"):
        tick(simulation.rollout)
    assert simulation.router.slots == 0
    simulation.router.read = read
    tick(simulation.rollout)
    assert simulation.router.slots == 1000


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        spec_of(SHORT, false_rollback_budget="0%")
