"""What comes next: the cheapest path to GO, level by level; evidence that will be stale; the schedule."""

from collections.abc import Sequence
from datetime import datetime

from decision.collect import is_lived
from decision.decide import Decision, MissingStep, stale_at
from decision.levels import LEVELS, Level
from decision.plan import Plan
from decision.quantities import duration_text
from evidence.record import Record
from reports.formats import distance, minute, number, plural
from reports.part import Part
from reports.sections.schedule import PhasePart, phases


class PathStep(Part):
    """One missing step. ``takes`` says how long, and how that is known."""

    does: str
    owner: str
    takes: str
    claims: tuple[str, ...]


class LevelPath(Part):
    """What a level still needs besides what the levels below it need."""

    level: Level
    requested: bool
    status: str
    steps: tuple[PathStep, ...]


class NextStepsPart(Part):
    """The section."""

    levels: tuple[LevelPath, ...]
    stale_at_deploy: tuple[str, ...]
    deploy: str
    deploy_past: bool
    phases: tuple[PhasePart, ...]


def next_steps(plan: Plan, decision: Decision, records: Sequence[Record]) -> NextStepsPart:
    """The section, as of the time of the decision."""
    now, deploy = decision.decided_at, plan.schedule.deploy
    return NextStepsPart(
        levels=tuple(_level_path(plan, decision, level, records) for level in LEVELS),
        stale_at_deploy=tuple(_stale(claim.says, claim.valid_until) for claim in stale_at(decision, deploy)),
        deploy=f"{minute(deploy)} ({distance(deploy, now)})",
        deploy_past=deploy < now,
        phases=phases(plan.schedule, now),
    )


def _stale(says: str, valid_until: datetime | None) -> str:
    return f"{says}: its evidence counts until {minute(valid_until)}" if valid_until else says


def _level_path(plan: Plan, decision: Decision, level: Level, records: Sequence[Record]) -> LevelPath:
    own = [step for step in decision.missing if min(step.levels, key=LEVELS.index, default=None) == level]
    return LevelPath(
        level=level,
        requested=level == decision.requested_level,
        status=_status(decision, level, own),
        steps=tuple(
            PathStep(does=step.does, owner=step.owner, takes=_takes(plan, step, records), claims=step.claims)
            for step in own
        ),
    )


def _status(decision: Decision, level: Level, own: Sequence[MissingStep]) -> str:
    reached = decision.authorized_level
    if reached is not None and LEVELS.index(level) <= LEVELS.index(reached):
        return "reached"
    if decision.invalid_records:
        return f"not reached: {plural(len(decision.invalid_records), 'record')} of the ledger did not verify"
    if own:
        return f"not reached: {plural(len(own), 'step')} missing"
    return "not reached: waits for the levels below"


def _takes(plan: Plan, step: MissingStep, records: Sequence[Record]) -> str:
    if step.hours is None:
        return "a person's act"
    if any(is_lived(plan.collect[plan.claim(claim_id).needs]) for claim_id in step.claims):
        return f"{duration_text(step.hours * 3600)} of the stage at least"
    if step.hours > 0:
        return f"{number(step.hours)} h under load in one run"
    collectors = {plan.claim(claim_id).needs for claim_id in step.claims}
    own = [record for record in records if record.collector in collectors]
    if not own:
        return "time unknown: never measured"
    last = max(own, key=lambda record: record.finished_at)
    return f"{duration_text((last.finished_at - last.started_at).total_seconds())} in its last run"
