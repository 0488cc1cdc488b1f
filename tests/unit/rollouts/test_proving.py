"""What a stage proves before the next one: its evidence, and the one look at its A/B test, on a simulated clock."""

from collections.abc import Callable

import numpy as np
import pytest

from decision.ab_metrics import Outcomes
from evidence.ab_result import AbTestResult
from evidence.results import RolloutResult
from processes.errors import InputError
from rollouts.ab_test import test_of as result_of_test
from rollouts.assignment import user_hash
from rollouts.lived import rollout_of
from rollouts.orders import abort, pause, resume
from rollouts.production import measurement_of
from rollouts.proving import sign_how_it_ended
from tests.unit.rollouts.simulated import SimulatedEvidence, Simulation, spec_of

PLANNED = 770
"""Users of both arms: 40 % against 50 %, at a power of 80 %."""
TESTED = {
    "name": "ab-test",
    "share": "50%",
    "minimum": "2m",
    "requests": 500,
    "salt": "b",
    "metrics": {"won": {"type": "proportion", "baseline": "40%", "expected": "50%"}},
    "outcomes": {"from": "run/outcomes.csv", "user": "user", "time": "at"},
}
STAGES = [
    {"name": "canary", "share": "10%", "minimum": "2m", "requests": 500, "salt": "a"},
    TESTED,
    {"name": "full", "share": "100%", "requests": 300},
]
Rates = Callable[[str], float]


@pytest.fixture
def simulation(tmp_path) -> Simulation:
    simulation = Simulation(tmp_path, spec_of(STAGES, watch="5m"), evidence=SimulatedEvidence({"canary", "ab-test"}))
    simulation.evidence.csv = lambda: table(simulation, won={"stable": 0.3, "canary": 0.5})
    return simulation


def through(simulation: Simulation, *, until: Callable[..., bool], minutes: int = 40) -> None:
    for _ in range(minutes):
        if until(simulation.pass_time(60, requests=3000)):
            return
    pytest.fail(f"not within {minutes} minutes: {simulation.did()} {simulation.waits}")


def is_tested(state) -> bool:
    return state.stage == 1 and bool(state.verdict or state.hold)


def arms(simulation: Simulation) -> dict[str, str]:
    """The arm of each user who was seen in the A/B test, by its name: the router keeps hashes alone."""
    seen = dict(simulation.store.exposures("ab-test"))
    users = {user_hash(f"user-{n}"): f"user-{n}" for n in range(simulation.router.users)}
    return {users[hashed]: arm for hashed, arm in seen.items()}


def table(simulation: Simulation, won: dict[str, float], seed: int = 1) -> bytes:
    """Outcomes of everyone who was seen, drawn by arm, which the table itself does not name."""
    random, at_s = np.random.default_rng(seed), simulation.at.timestamp()
    rows = [f"{user},{at_s},{int(random.random() < won[arm])}\n" for user, arm in sorted(arms(simulation).items())]
    return ("user,at,won\n" + "".join(rows)).encode()


def kept(simulation: Simulation, kind: str) -> list:
    return [measurement for measurement in simulation.evidence.kept if measurement.kind == kind]


def test_a_stage_is_signed_before_anybody_asks_whether_the_next_is_authorized(simulation):
    simulation.lacking = {"ab-test": "awaiting approval of Ada"}
    through(simulation, until=lambda state: simulation.waits.why == "awaiting approval of Ada")
    assert simulation.did() == ["start", "expose", "show", "record"]
    (measured,) = simulation.evidence.kept
    result = measured.result
    assert isinstance(result, RolloutResult)
    assert (result.mode, result.stage, result.share, result.verdict) == ("production", "canary", 0.1, "non-inferior")
    assert (result.completed, result.stages_completed, measured.outcome) == (False, 1, "passed")
    assert result.days * 86400 >= 120
    assert measured.finished_at - measured.started_at >= simulation.at - simulation.when("expose")[0][1] - (
        simulation.at - measured.finished_at
    )
    for _ in range(5):
        simulation.pass_time(60, requests=3000)
    assert simulation.did() == ["start", "expose", "show", "record"], "once for the same state of evidence"
    attachments = {a.name: a.content for a in measured.attachments}
    assert rollout_of(attachments, "embedded") == result


def test_a_stage_that_was_frozen_since_is_signed_again_by_what_was_seen_afterwards(simulation):
    simulation.lacking = {"ab-test": "awaiting approval of Ada"}
    through(simulation, until=lambda state: "record" in simulation.did())
    simulation.router.stable_errors = 0.05
    through(simulation, until=lambda state: state.hold == "frozen")
    simulation.router.stable_errors = 0.0
    resume(simulation.rollout, "the baseline is well again")
    through(simulation, until=lambda state: simulation.did().count("record") == 2)
    first, second = (m.result for m in simulation.evidence.kept)
    assert second.days > first.days
    assert {m.parameters["entry"] for m in simulation.evidence.kept} == {
        entry.number for entry in simulation.journal.entries() if entry.action == "show"
    }


def test_a_stage_whose_evidence_nobody_asks_for_is_not_signed_by_itself(simulation):
    simulation.evidence.wanted = set()
    through(simulation, until=lambda state: state.stage == 1)
    assert "show" not in simulation.did()


def test_nothing_is_signed_while_people_hold_the_rollout(simulation):
    simulation.pass_time(60, requests=100)
    pause(simulation.rollout, "a holiday")
    for _ in range(10):
        simulation.pass_time(60, requests=3000)
    assert simulation.evidence.kept == []


def test_a_better_candidate_is_looked_at_once_and_promoted(simulation):
    through(simulation, until=lambda state: state.ended)
    assert simulation.state.outcome == "completed"
    did = simulation.did()
    assert did[did.index("look") - 2 :][:5] == ["show", "record", "look", "verdict", "promote"]
    assert did.count("look") == simulation.evidence.read == 1
    (measured,) = kept(simulation, "ab-test")
    result = measured.result
    assert isinstance(result, AbTestResult)
    assert (result.verdict, result.control_arm, result.treatment_arm) == ("better", "stable", "canary")
    assert (result.planned_units, measured.outcome) == (PLANNED, "passed")
    assert result.units >= PLANNED
    assert result.metrics[0].effect == pytest.approx(0.2, abs=0.08)
    attachments = {a.name: a.content for a in measured.attachments}
    assert result_of_test(attachments)[0] == result
    assert not any(b"user-" in content for content in attachments.values()), "users are named by their hash alone"


def test_a_worse_candidate_is_taken_back_and_its_evidence_replays(simulation):
    simulation.evidence.csv = lambda: table(simulation, won={"stable": 0.5, "canary": 0.3})
    through(simulation, until=lambda state: state.ended)
    assert simulation.state.outcome == "rolled-back"
    assert simulation.state.why == "A/B test: worse: shown to be worse: won"
    assert simulation.router.slots == 0
    assert kept(simulation, "ab-test")[0].outcome == "failed"
    sign_how_it_ended(simulation.rollout)
    sign_how_it_ended(simulation.rollout)
    ended = kept(simulation, "rollout")[-1]
    assert len(kept(simulation, "rollout")) == 3  # canary and A/B as they had shown, A/B as it ended
    assert (ended.result.stage, ended.result.stages_completed, ended.outcome) == ("ab-test", 0, "failed")
    assert rollout_of({a.name: a.content for a in ended.attachments}, "embedded") == ended.result
    whole = measurement_of(simulation.rollout)
    assert whole is not None
    assert (whole.outcome, whole.result.stages[-1].why) == ("failed", simulation.state.why)
    assert rollout_of({a.name: a.content for a in whole.attachments}, "embedded") == whole.result
    assert "rolled back in stage ab-test, all on stable within" in whole.summary


def test_a_worse_candidate_without_a_way_back_freezes(tmp_path):
    stages = [STAGES[0], TESTED | {"irreversible": "the old tables are gone"}, STAGES[2]]
    simulation = Simulation(tmp_path, spec_of(stages, watch="5m"))
    simulation.evidence.csv = lambda: table(simulation, won={"stable": 0.5, "canary": 0.3})
    for _ in range(2):
        through(simulation, until=is_tested)
        through(simulation, until=lambda state: state.hold == "frozen", minutes=2)
        assert "not rolled back, because the old tables are gone" in simulation.state.why
        resume(simulation.rollout, "we know")
    assert simulation.did().count("look") == 1


def test_a_test_that_shows_nothing_freezes_and_people_may_only_go_on_by_what_the_next_level_asks(simulation):
    simulation.evidence.csv = lambda: table(simulation, won={"stable": 0.4, "canary": 0.4})
    simulation.lacking = {"full": "HOLD for level full: A/B test: not proven (gonogo authorize)"}
    through(simulation, until=lambda state: state.hold == "frozen")
    assert simulation.state.why.startswith("A/B test: not-proven: won: a difference is not shown; abort it, or waive")
    assert kept(simulation, "ab-test")[0].outcome == "inconclusive"
    resume(simulation.rollout, "Ada waived it")
    through(simulation, until=lambda state: simulation.waits.why == simulation.lacking["full"])
    assert simulation.did().count("look") == 1, "there is no second look"
    assert simulation.state.stage == 1
    simulation.lacking = {}
    through(simulation, until=lambda state: state.stage == 2)


def test_arms_that_are_not_split_as_told_make_the_test_invalid(simulation):
    def mostly_stable() -> bytes:
        # The router's log lost half of the users of one arm: who they are is not known, so no metric says anything.
        lost = [user for user, arm in sorted(arms(simulation).items()) if arm == "canary"][::2]
        with simulation.journal.engine.begin() as connection:
            for user in lost:
                connection.exec_driver_sql(f"DELETE FROM rollout_exposures WHERE user_hash = '{user_hash(user)}'")
        return table(simulation, won={"stable": 0.3, "canary": 0.5})

    simulation.evidence.csv = mostly_stable
    through(simulation, until=lambda state: state.hold == "frozen")
    assert "A/B test: invalid: sample-ratio mismatch" in simulation.state.why
    assert simulation.state.stage == 1


BROKEN = {
    "is not there": (None, "cannot be read"),
    "is empty": (b"", "is empty"),
    "is a header": (b"user,at,won\n", "holds no rows"),
    "is cut off in a line": (b"user,at,won\nuser-1,0,1\nuser-2,0,", "its last line does not end"),
    "is cut off at a field": (b"user,at,won\nuser-1,0\n", "line 2 has 2 fields, expected 3"),
    "holds NaN": (b"user,at,won\nuser-1,0,nan\n", "line 2: column won: expected a number, or nothing, and found 'nan'"),
    "lacks a column": (b"user,at\nuser-1,0\n", "has no column 'won'"),
    "is a page of HTML": (b"<html>not found</html>\n", "holds no rows"),
    "is of other users": (b"user,at,won\nnobody,9e9,1\n", "names no user whom the request log saw"),
    "is not of 0 and 1": (b"user,at,won\nuser-1,9e9,0.5\n", "a proportion is made of 0 and 1, found 0.5"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_outcomes_that_cannot_be_used_freeze_and_are_read_again_when_people_resume(simulation, what):
    content, why = BROKEN[what]

    def broken() -> bytes:
        if content is None:
            raise InputError("cannot be read: No such file or directory")
        return content

    good, simulation.evidence.csv = simulation.evidence.csv, broken
    through(simulation, until=lambda state: state.stage == 1)
    through(simulation, until=lambda state: state.hold == "frozen")
    assert why in simulation.state.why
    assert "nothing was looked at yet: mend the outcomes and resume" in simulation.state.why
    assert kept(simulation, "ab-test") == []
    simulation.evidence.csv = good
    resume(simulation.rollout, "mended")
    through(simulation, until=lambda state: state.stage == 2)
    assert simulation.did().count("look") == 1


def test_too_few_users_with_an_outcome_are_waited_for_and_no_effect_is_looked_at(simulation):
    def few() -> bytes:
        return b"".join(table(simulation, won={"stable": 0.3, "canary": 0.5}).splitlines(keepends=True)[:500])

    good, simulation.evidence.csv = simulation.evidence.csv, few
    through(simulation, until=lambda state: state.stage == 1)
    through(simulation, until=lambda state: simulation.waits.why.startswith("A/B test: 499 of 770 planned users have"))
    assert simulation.waits.next_at is not None
    for _ in range(10):
        simulation.pass_time(60, requests=1000)
    assert simulation.evidence.read == 1, "they are not read again at every tick"
    assert simulation.did()[-1] == "record"
    simulation.evidence.csv = good
    through(simulation, until=lambda state: state.stage == 2)
    assert simulation.evidence.read == 2


def test_nothing_is_read_before_the_planned_users_were_seen(tmp_path):
    more = TESTED | {"metrics": {"won": {"type": "proportion", "baseline": "40%", "expected": "42%"}}}
    simulation = Simulation(tmp_path, spec_of([STAGES[0], more, STAGES[2]], watch="5m"))
    through(simulation, until=lambda state: state.stage == 1)
    through(simulation, until=lambda state: "planned users were seen" in simulation.waits.why)
    for _ in range(20):
        simulation.pass_time(60, requests=3000)
    assert simulation.evidence.read == 0
    assert simulation.state.stage == 1


def test_users_in_both_arms_freeze(simulation):
    through(simulation, until=lambda state: state.stage == 1)
    user, arm = simulation.pass_time(60, requests=100) and simulation.store.exposures("ab-test")[0]
    other = "stable" if arm == "canary" else "canary"
    with simulation.journal.engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO rollout_exposures VALUES ('r', 'ab-test', '{user}', '{other}')")
    through(simulation, until=lambda state: state.hold == "frozen")
    assert f"1 users were assigned to both versions within the stage, such as {user}" in simulation.state.why


def test_users_count_once_over_epochs_pauses_and_restarts_of_the_router(simulation):
    simulation.evidence.csv = lambda: b""
    through(simulation, until=lambda state: state.stage == 1)
    simulation.pass_time(60, requests=3000)
    simulation.router.slots, simulation.router.lease_until_s = 0, 0.0  # restarted: it sends everyone to stable
    simulation.pass_time(60, requests=3000)
    simulation.pass_time(60, requests=3000)
    seen = simulation.store.exposures("ab-test")
    assert len(seen) == len(dict(seen)) > PLANNED
    assert 0.4 < sum(arm == "canary" for _, arm in seen) / len(seen) < 0.6
    assert simulation.store.exposures("canary") == []


def test_an_abort_leaves_evidence_that_neither_proves_nor_refutes(simulation):
    through(simulation, until=lambda state: state.stage == 0)
    simulation.pass_time(60, requests=1000)
    abort(simulation.rollout, "a customer complained")
    simulation.pass_time(1, requests=100)
    sign_how_it_ended(simulation.rollout)
    (measured,) = simulation.evidence.kept
    assert (measured.outcome, measured.result.stage, measured.result.why) == (
        "inconclusive", "canary", "a customer complained",
    )  # fmt: skip


def test_a_file_is_read_for_at_most_half_a_lease_which_is_renewed_before(simulation):
    lefts = []

    class Watching(SimulatedEvidence):
        def outcomes(self, outcomes: Outcomes, timeout_s: float) -> bytes:
            lefts.append((timeout_s, simulation.router.read().lease_left_s))
            return super().outcomes(outcomes, timeout_s)

    simulation.lease_s, simulation.evidence = 90.0, Watching(csv=simulation.evidence.csv)
    through(simulation, until=lambda state: bool(lefts))
    assert lefts == [(45.0, 90.0)]
