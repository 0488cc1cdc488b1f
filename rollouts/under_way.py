"""A real rollout and everything around it: what a tick, a person's order and a status look at."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from decision.objectives import Slo, Stage
from decision.rollout_spec import RolloutSpec
from decision.schedule import Schedule
from processes.resources import Resources
from rollouts.alone import limits_alone, rejections_alone
from rollouts.calendar import earliest_promotion, may_promote
from rollouts.counters import Kept, Reading, requests_in
from rollouts.journal import Journal
from rollouts.observation import Observation
from rollouts.rules import Rules, rules_entry
from rollouts.running_router import RunningRouter
from rollouts.sample_ratio import ALPHA
from rollouts.stage import Seen
from rollouts.stage_evidence import StageEvidence
from rollouts.state import State
from rollouts.tick_store import TickStore
from rollouts.triggers import UNMEASURED_WINDOWS, failures_in_a_row

WATCH = "watch"


@dataclass(frozen=True)
class Rollout:
    """A rollout and everything around it that a tick asks: ``lacks`` says what a stage's authorization lacks.

    ``evidence`` is where what a stage has shown is signed. ``counters`` are read where the plan says so, instead of the
    request log; CollectError when they cannot be.
    """

    journal: Journal
    store: TickStore
    router: RunningRouter
    lease_s: float
    spec: RolloutSpec
    schedule: Schedule
    slo: Slo
    lacks: Callable[[Stage], str | None]
    resources: Callable[[], Resources | None]
    evidence: StageEvidence
    now: Callable[[], datetime]
    counters: Callable[[], Reading] | None = None


@dataclass(frozen=True)
class Waits:
    """Why no share grows now, and when the calendar lets it (None: that is not what it waits for)."""

    why: str
    next_at: datetime | None = None


def stage_of(spec: RolloutSpec, state: State) -> Stage:
    """The stage of a state; the watch after the last one is a stage of its own, and before the first it is that."""
    if state.phase == "watch" or (state.outcome and state.watched):
        return Stage(name=WATCH, share=1.0)
    return spec.stages[max(state.stage, 0)]


def irreversible(spec: RolloutSpec, state: State) -> str | None:
    """Why there is no way back from here; None when there is one."""
    return next((s.irreversible for s in spec.stages[: state.stage + 1] if s.irreversible is not None), None)


def rules_of(rollout: Rollout, observation: Observation) -> Rules:
    """The rules of this epoch: its part of the false-rollback budget, and the limits of a candidate alone.

    The budget is spent by every metric of every stage and of the watch.
    """
    share = observation.budget_share
    spec = rollout.spec
    alpha = spec.false_rollback_budget / (spec.judged_metrics * (len(spec.stages) + 1)) * share
    alone = limits_alone(rollout.slo, observation.recorded, alpha)
    return Rules(
        rollout.slo,
        0.0,
        alpha,
        spec.silence,
        ALPHA * share,
        alone,
        UNMEASURED_WINDOWS,
        spec.plan_metrics,
        rejections_alone(observation.recorded, alpha),
    )


def waits_for(rollout: Rollout, state: State) -> Waits | None:
    """What keeps the next stage from beginning, whatever the judge says; None when nothing does."""
    stages = rollout.spec.stages
    if state.hold:
        return Waits(f"{state.hold}: {state.why} (gonogo rollout resume)")
    current = stages[state.stage] if state.stage >= 0 else None
    if state.phase == "watch" or state.stage == len(stages) - 1:
        return None
    following = stages[state.stage + 1]
    # Time in which nobody renewed the lease is not time in which the candidate was seen.
    lapsed = timedelta(seconds=rollout.store.load().lapsed_s)
    began_at = None if state.began_at is None else state.began_at + lapsed
    earliest, because = earliest_promotion(following, rollout.schedule, current=current, began_at=began_at)
    calendar = may_promote(rollout.now(), rollout.spec.windows, earliest=earliest, because=because)
    if not calendar.now:
        return Waits(calendar.why, calendar.next_at)
    lacking = rollout.lacks(following)
    return Waits(lacking) if lacking else None


def seen_of(rollout: Rollout, state: State, observation: Observation, requests: Kept) -> Seen:
    """What the judge is shown of this epoch now."""
    at = rollout.now()
    began_at = state.began_at or at
    return Seen(
        requests=requests,
        windows=observation.windows,
        failures_in_a_row=failures_in_a_row(requests_in(requests)),
        elapsed_s=(at - began_at).total_seconds(),
        silent_s=at.timestamp() - observation.last_request_s,
        traffic_alive=True,
        unread_s=at.timestamp() - observation.unread_since_s if observation.unread else 0.0,
        unread=observation.unread,
    )


def facts_of(seen: Seen, rules: Rules, observation: Observation) -> dict[str, Any]:
    """What an entry that ends a stage keeps of it, so that it can be judged again from its requests."""
    return {
        "epoch": observation.epoch,
        "chunks": observation.chunks,
        "elapsed_s": seen.elapsed_s,
        "silent_s": seen.silent_s,
        "ticks": observation.stage_ticks,
        "windows": observation.as_json()["windows"],
        "rules": rules_entry(rules),
        "earlier_stable": vars(observation.earlier_stable),
        "earlier_canary": vars(observation.earlier_canary),
        "lapsed_s": observation.lapsed_s,
    }
