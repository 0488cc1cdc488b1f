"""The title block: which release, which subject, which level was asked and which is reached."""

from collections.abc import Sequence

from decision.decide import Decision
from decision.levels import LEVELS
from decision.plan import Plan
from evidence.record import Record
from evidence.results import RolloutResult
from reports.formats import distance, minute
from reports.part import Part
from reports.run_facts import RunFacts
from reports.sections.authorization import authorises, decision_mark


class HeaderPart(Part):
    """The title block. ``kind`` is Final only for a GO at the highest level."""

    title: str
    kind: str
    report_date: str
    validator: str
    decision: str
    mark: str
    requested: str
    reached: str
    scheduled: str
    scheduled_distance: str
    scheduled_past: bool
    subject: str
    digest: str
    commit: str
    scope: str


def header_part(plan: Plan, decision: Decision, records: Sequence[Record], run: RunFacts) -> HeaderPart:
    """The title block."""
    final = decision.decision == "GO" and decision.requested_level == LEVELS[-1]
    newest = max(records, key=lambda record: record.finished_at, default=None)
    deploy, now = plan.schedule.deploy, decision.decided_at
    return HeaderPart(
        title=f"{plan.title} Deployment Authorization",
        kind="Final Status Report" if final else "Status Report",
        report_date=minute(now),
        validator=_validator(plan, run),
        decision=decision.decision,
        mark=decision_mark(decision),
        requested=decision.requested_level,
        reached=decision.authorized_level or "none",
        scheduled=minute(deploy),
        scheduled_distance=f"passed {distance(deploy, now)}" if deploy < now else distance(deploy, now),
        scheduled_past=deploy < now,
        subject=f"{plan.subject.name} {plan.subject.version}",
        digest=decision.subject,
        commit=(newest.subject.commit if newest else None) or "not known",
        scope=_scope(plan, decision, records),
    )


def _validator(plan: Plan, run: RunFacts) -> str:
    validator = plan.people.get("validator")
    own = f"gonogo {run.gonogo_version}"
    if validator is None:
        return f"{own} (a machine: it recommends, it approves nothing)"
    machine = " (a machine: it may recommend, it never approves)" if validator.machine else ""
    return f"{validator.name}{machine}, with {own}"


def _scope(plan: Plan, decision: Decision, records: Sequence[Record]) -> str:
    asked = f"Level {decision.requested_level} was asked. This decision authorises {authorises(plan, decision)}"
    used = {claim.record_id for claim in decision.claims}
    modes = {r.result.mode for r in records if isinstance(r.result, RolloutResult) and r.record_id in used}
    if modes == {"rehearsal"}:
        return f"{asked} The rollout behind it was a rehearsal on this machine, without production traffic."
    return asked
