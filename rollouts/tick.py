"""One tick of a real rollout: make the router do what the journal says, observe, judge, act, renew the lease.

A tick may be killed anywhere. What it decided is in the journal before it is carried out, and the next tick goes on
from there: it tells the router again what the router has not confirmed, and reads requests on from where the last
commit left off. The lease is renewed at the very end: a rollout that nobody can judge does not keep its canary traffic.
"""

from dataclasses import replace
from typing import Any

from rollouts.assignment import slots_of_share
from rollouts.calendar import reviews_between
from rollouts.counters import Kept, rejections_of, requests_in
from rollouts.journal import Draft
from rollouts.observation import (
    Observation,
    RecordedStable,
    after_epoch,
    begin_where_the_journal_says,
    counted,
    is_full,
    with_lapse,
    with_requests,
    with_totals,
)
from rollouts.observe_counters import begin_with, observe_counters
from rollouts.one_tick import OneTick
from rollouts.proving import prove, sign_what_was_shown
from rollouts.rerouted import reached
from rollouts.rules import decide_stage
from rollouts.running_router import FOR_GOOD_S
from rollouts.stage import Step
from rollouts.state import AB_TEST, State
from rollouts.traffic import traffic_of
from rollouts.under_way import WATCH, Rollout, Waits, facts_of, irreversible, rules_of, seen_of, stage_of, waits_for


def tick(rollout: Rollout) -> tuple[State, Waits]:
    """Advance the rollout by one step; returns its state and why it goes no further now.

    Raises ProcessError when the router does not obey, LedgerError when the database fails, JournalMovedOn when another
    tick wrote meanwhile.
    """
    now = OneTick(rollout, rollout.journal.entries())
    if now.state.confirmed and not rollout.router.read().is_as_told(now.state.told, now.state.salt):
        now.write(now.draft("restore", why="the router did not do what the journal says: it may have been restarted"))
    if not now.state.confirmed:
        now.carry_out()
    sign_what_was_shown(now)
    observation, requests = _observe(rollout, now.state)
    if now.state.ended:
        if now.state.outcome == "completed":
            rollout.router.renew_lease(FOR_GOOD_S)
        return now.state, Waits(now.state.outcome)
    _review(now, observation)
    if now.state.phase == "waiting":
        waits = _grow(now, Step("promote", "the rollout begins"), observation, {})
    else:
        waits = _judge_and_act(now, observation, requests)
    now.renew_lease()
    return now.state, waits


def _observe(rollout: Rollout, state: State) -> tuple[Observation, Kept]:
    """Read the log on, or the counters, and commit what was seen; returns all that is kept of the epoch."""
    now_s = rollout.now().timestamp()
    index = len(rollout.spec.stages) if state.phase == WATCH else state.stage
    before = rollout.store.load()
    observation = begin_where_the_journal_says(before, state, index)
    forget = []
    if state.active and observation.epoch > before.epoch and observation.stage == before.stage:
        # The stage is judged anew; what it had seen is counted all the same.
        observation = with_totals(observation, rollout.store.requests(before.epoch))
        forget = [before.epoch]
    if rollout.counters is not None:
        return observe_counters(rollout, state, observation, forget)
    read, cursor, caught_up = rollout.router.requests_since(observation.cursor)
    observation = replace(observation, cursor=cursor, caught_up=caught_up)
    if state.observed_from is None or state.outcome == "completed" or state.recorded:
        rollout.store.save(replace(observation, last_tick_s=now_s), read=read)
        return observation, []
    observation, new = counted(observation, read, split=state.active)
    requests = requests_in(rollout.store.requests(observation.epoch)) + new
    observation = replace(observation, chunks=observation.chunks + bool(new))
    resources = None
    if state.active:
        resources = rollout.resources()
        observation = with_lapse(observation, now_s, rollout.lease_s)
    observation = with_requests(observation, requests, len(new), now_s, resources, rollout.spec.memory_limit)
    stage = stage_of(rollout.spec, state)
    tested = stage.name if state.active and stage.outcomes is not None else None
    rollout.store.save(observation, new=new, read=read, forget_epochs=forget, tested=tested)
    return observation, requests


def _judge_and_act(now: OneTick, observation: Observation, requests: Kept) -> Waits:
    rollout, state = now.rollout, now.state
    stage, rules = stage_of(rollout.spec, state), rules_of(rollout, observation)
    seen = seen_of(rollout, state, observation, requests)
    step = decide_stage(seen, stage, rules)
    step = reached(step, requests_in(requests), observation.leased_since_s, rules.silence_at_most_s)
    observation = replace(observation, judged=_judged(step))
    rollout.store.save(observation)
    detail = {"why": step.why, **facts_of(seen, rules, observation)}
    waits = _act(now, step, observation, requests, detail)
    if now.state.active and now.state.observed_by == observation.by and is_full(requests, stage.requests):
        begun, first = begin_with(after_epoch(rollout.store.load(), requests), requests)
        rollout.store.save(begun, new=first, forget_epochs=[observation.epoch])
    return waits


def _act(now: OneTick, step: Step, observation: Observation, requests: Kept, detail: dict[str, Any]) -> Waits:
    match step.action:
        case "roll-back":
            return _back(now, step, detail)
        case "freeze":
            if now.state.hold != "frozen":
                now.write(now.draft("freeze", why=step.why, kind="worthless"))
            return Waits(f"frozen: {now.state.why} (gonogo rollout resume)")
        case "promote":
            return _grow(now, step, observation, detail, requests)
        case "wait":
            return (waits_for(now.rollout, now.state) if now.state.hold else None) or Waits(step.why)


def _judged(step: Step) -> dict[str, Any]:
    """The judge's answer as a status shows it; None requests needed: more than can be told."""
    needs = [metric.needs_requests for metric in step.metrics if metric.verdict == "not-proven"]
    known = [count for count in needs if count is not None]
    needed = max(known, default=0) if len(known) == len(needs) else None
    return {"action": step.action, "why": step.why, "needs_requests": needed}


def _back(now: OneTick, step: Step, detail: dict[str, Any]) -> Waits:
    """Take everything to stable, or, where there is no way back, freeze and call people."""
    no_way_back = irreversible(now.rollout.spec, now.state)
    if no_way_back is None:
        now.write(now.draft("roll-back", to=0, **detail))
        now.carry_out()
        return Waits(f"rolled back: {step.why}")
    if now.state.hold_kind != "harm":
        why = f"{step.why}; not rolled back, because {no_way_back}"
        now.write(now.draft("freeze", why=why, kind="harm"))
    return Waits(f"frozen: {now.state.why}")


def _grow(
    now: OneTick,
    step: Step,
    observation: Observation,
    detail: dict[str, Any],
    requests: Kept = (),
) -> Waits:
    """Go on to what follows, if calendar, authorization and people let it."""
    rollout, stages = now.rollout, now.rollout.spec.stages
    if now.state.phase == "stage":
        said = prove(now, observation, detail)
        if isinstance(said, Step):
            return _back(now, said, {**detail, "why": said.why, "by": AB_TEST})
        if said is not None:
            return said
    state = now.state
    if (waits := waits_for(rollout, state)) is not None:
        return waits
    if not observation.caught_up:
        return Waits("the request log is longer than a tick reads: it is being read on")
    at = rollout.now()
    elapsed_s = (at - state.began_at).total_seconds() - observation.lapsed_s if state.began_at else 0.0
    if state.phase == "watch":
        if elapsed_s < rollout.spec.watch:
            return Waits(f"{step.why}; watched for {elapsed_s:.0f} of {rollout.spec.watch:.0f} s")
        now.write(now.draft("promote", **detail), now.draft("complete", why=step.why))
        return Waits("completed")
    if state.stage == len(stages) - 1:
        minimum_s = stages[-1].minimum
        if elapsed_s < minimum_s:
            return Waits(f"{step.why}; {elapsed_s:.0f} of {minimum_s:.0f} s")
        now.write(now.draft("promote", **detail), Draft("watch", WATCH, state.at_most, {"why": step.why}))
        return Waits(f"watched for {rollout.spec.watch:.0f} s before the rollout is complete")
    following = stages[state.stage + 1]
    if requests and following.share == 1:
        stable = traffic_of(requests, {}).counts("stable")
        rejections = rejections_of(requests, "stable")
        recorded = RecordedStable(stable.requests, stable.errors, stable.p95_ms or 0.0, rejections)
        rollout.store.save(replace(observation, recorded=recorded))
    slots = slots_of_share(following.share)
    expose = Draft("expose", following.name, slots, {"salt": following.salt, "why": step.why})
    now.write(*([now.draft("promote", **detail)] if state.stage >= 0 else []), expose)
    now.carry_out()
    return Waits(f"stage {following.name} has begun")


def _review(now: OneTick, observation: Observation) -> None:
    """Call people to a review that is due, with what there is to review."""
    rollout, state = now.rollout, now.state
    if not state.active:
        return
    last = max(entry.at for entry in now.entries if entry.action in ("start", "review"))
    due = list(reviews_between(last, rollout.now(), rollout.spec.windows, rollout.schedule))
    if due:
        judged = observation.judged.get("why", "nothing is judged yet")
        now.write(now.draft("review", why=f"the review of {due[-1]:%Y-%m-%d %H:%M} UTC is due: {judged}"))
