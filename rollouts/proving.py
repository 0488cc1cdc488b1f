"""What a stage proves before anybody asks whether the next one is authorized: its evidence, and its A/B test's.

A stage that has lasted long enough and satisfies the judge has its evidence signed, once for what was observed since
the journal last let requests count anew. Its A/B test is looked at once: when as many users as were planned have an
outcome. Both are entered into the journal before they are done, and again when they are; a tick that dies in between
leaves an entry that the next one carries out, or finds carried out in the ledger.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from decision.objectives import Stage
from evidence.ab_result import AbTestResult
from processes.errors import InputError, IntegrityError
from rollouts.ab_test import Joined, join, measurement_of_test, planned_units
from rollouts.journal import Draft
from rollouts.observation import Observation
from rollouts.one_tick import OneTick
from rollouts.outcomes import read_outcomes
from rollouts.production import last_stage_ended_by, measurement_of_stage
from rollouts.stage import Step
from rollouts.state import AB_TEST
from rollouts.under_way import Rollout, Waits, stage_of

READ_AGAIN_S = 900.0
"""How long to wait before the outcomes are read again, when too few users had one."""
_READ_AT_MOST_S = 60.0
_PASSES = ("better", "non-inferior")


def prove(now: OneTick, observation: Observation, detail: dict[str, Any]) -> Step | Waits | None:
    """Sign what the current stage has shown by the judge's ``detail``, and test what it is to show.

    Returns None when no more is to be proven, what it waits for, or the step back from a candidate that is worse.
    """
    rollout, state = now.rollout, now.state
    stage = stage_of(rollout.spec, state)
    if state.hold or not observation.caught_up or detail["elapsed_s"] - observation.lapsed_s < stage.minimum:
        return None  # the calendar says why
    if state.shown_by != state.observed_by and rollout.evidence.asks_for(stage):
        now.write(now.draft("show", **detail))
        now.renew_lease()  # signing takes seconds, and the candidate has just been judged
        sign_what_was_shown(now)
    return _test(now, stage, observation) if stage.outcomes is not None else None


def sign_what_was_shown(now: OneTick) -> None:
    """Sign the evidence of the entry that says what a stage has shown, unless it is signed."""
    rollout, number = now.rollout, now.state.to_sign
    if not number:
        return
    name = now.entries[number - 1].stage
    if rollout.evidence.signed("rollout", number) is None:
        stage = next(stage for stage in rollout.spec.stages if stage.name == name)
        rollout.evidence.sign(stage, "rollout", measurement_of_stage(rollout, number))
    now.write(Draft("record", name, now.state.at_most, {"kind": "rollout"}))


def sign_how_it_ended(rollout: Rollout) -> None:
    """Sign the evidence of the stage that a rollout was taken back from, unless it is signed: it refutes claims."""
    entry = last_stage_ended_by(rollout.journal.entries())
    stage = next((s for s in rollout.spec.stages if entry is not None and s.name == entry.stage), None)
    if entry is None or stage is None or not rollout.evidence.asks_for(stage):
        return
    if rollout.evidence.signed("rollout", entry.number) is None:
        rollout.evidence.sign(stage, "rollout", measurement_of_stage(rollout, entry.number))


def _test(now: OneTick, stage: Stage, observation: Observation) -> Step | Waits | None:
    if not now.state.verdict and (waits := _look(now, stage, observation)) is not None:
        return waits
    state = now.state
    why = f"A/B test: {state.verdict}: {state.verdict_why}"
    if state.verdict in _PASSES:
        return None
    if state.verdict == "worse":
        return Step("roll-back", why)
    if state.answered:
        return None  # people went on: what the next level needs is up to them and its authorization
    can = "abort it, or waive what the next level lacks and resume: there is no second look"
    now.write(now.draft("freeze", why=f"{why}; {can}", kind=AB_TEST))
    return Waits(f"frozen: {now.state.why}")


def _look(now: OneTick, stage: Stage, observation: Observation) -> Waits | None:
    """Look at the A/B test once; returns what the look waits for, None when the journal has its verdict."""
    evidence, number = now.rollout.evidence, now.state.look
    found = evidence.signed("ab-test", number) if number else None
    if found is None:
        joined = _joined(now, stage, observation)
        if isinstance(joined, Waits):
            return joined
        if not number:
            now.write(now.draft("look", why=f"{joined.enough:,} users have an outcome"))
        entry = now.entries[now.state.look - 1]
        began_at = now.state.began_at or entry.at
        evidence.sign(stage, "ab-test", measurement_of_test(now.rollout, stage, joined, entry, began_at))
        found = evidence.signed("ab-test", entry.number)
    if not isinstance(found, AbTestResult):
        raise IntegrityError(f"the ledger holds no A/B test of {now.rollout.journal.rollout_id}")
    now.write(now.draft("verdict", verdict=found.verdict, why=found.why))
    return None


def _joined(now: OneTick, stage: Stage, observation: Observation) -> Joined | Waits:
    """The outcomes of enough users, or what is missing; a freeze where they cannot be used."""
    rollout, planned, outcomes = now.rollout, planned_units(stage), stage.outcomes
    assert outcomes is not None, "only a stage with outcomes is tested"
    at, seen = rollout.now(), rollout.store.exposed(stage.name)
    if seen < planned:
        return Waits(f"A/B test: {seen:,} of {planned:,} planned users were seen")
    if (again_s := observation.test.get("again_s", 0.0)) > at.timestamp():
        return Waits(observation.test["why"], datetime.fromtimestamp(again_s, UTC))
    now.renew_lease()
    try:
        content = rollout.evidence.outcomes(outcomes, min(_READ_AT_MOST_S, rollout.lease_s / 2))
        rows = read_outcomes(content, outcomes, stage)
        began_s = (now.state.began_at or at).timestamp()
        joined = join(rows, rollout.store.exposures(stage.name), began_s, stage)
    except InputError as error:
        why = f"A/B test: {outcomes.source}: {error}; nothing was looked at yet: mend the outcomes and resume"
        now.write(now.draft("freeze", why=why, kind="outcomes"))
        return Waits(f"frozen: {why}")
    if joined.enough < planned:
        why = f"A/B test: {joined.enough:,} of {planned:,} planned users have an outcome, of {seen:,} who were seen"
        again_s = at.timestamp() + READ_AGAIN_S
        rollout.store.save(replace(observation, test={"why": why, "again_s": again_s}))
        return Waits(why, datetime.fromtimestamp(again_s, UTC))
    return joined
