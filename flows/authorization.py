"""What an authorization is made of: what must still be measured, and the decision on what was. No Prefect here."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from decision.claims import newest_usable
from decision.collect import LoadCollect, SoakCollect, is_lived, is_measured_here
from decision.decide import Decision, decide, measurements
from decision.inputs import signers_of, subject_of, wanted_of
from decision.levels import Level
from decision.plan_file import PlanFile
from decision.quantities import duration_text
from evidence.measurement import Measurement
from evidence.record import Record
from evidence.results import DecisionResult, LoadResult
from evidence.soak_result import SoakResult
from evidence.store import EvidenceStore
from flows.measuring import profile_of


@dataclass(frozen=True)
class Pending:
    """A collector that must measure, and why its evidence does not do."""

    collector: str
    why: str


@dataclass(frozen=True)
class Conclusion:
    """A decision with the records it was made from. ``reused`` names collectors whose evidence was there before."""

    decision: Decision
    records: tuple[Record, ...]
    reused: tuple[str, ...]


def pending(
    plan_file: PlanFile,
    store: EvidenceStore,
    *,
    profile: str,
    rerun: Collection[str] = (),
    now: datetime | None = None,
) -> tuple[list[Pending], list[Record]]:
    """What must be measured, in the plan's order, and the records that are fresh enough to be reused.

    What is added from files, or recorded by the rollout in production, cannot be measured here: it is in neither when
    it is not fresh.
    """
    missing, fresh = _all_pending(plan_file, store, profile, rerun, now or datetime.now(UTC))
    return [item for item in missing if is_measured_here(plan_file.plan.collect[item.collector])], fresh


def awaited(plan_file: PlanFile, store: EvidenceStore, *, profile: str) -> list[Pending]:
    """What only the rollout in production can record, and has not, or not freshly."""
    missing, _ = _all_pending(plan_file, store, profile, (), datetime.now(UTC))
    return [item for item in missing if is_lived(plan_file.plan.collect[item.collector])]


def _all_pending(
    plan_file: PlanFile, store: EvidenceStore, profile: str, rerun: Collection[str], now: datetime
) -> tuple[list[Pending], list[Record]]:
    wanted = wanted_of(plan_file)
    records = measurements(plan_file.plan, store.records(subject_of(plan_file).digest)[0])
    missing, fresh = [], []
    for name in plan_file.plan.collect:
        ages = [c.max_age for c in plan_file.plan.claims if c.needs == name]
        if not ages and name not in rerun:
            continue
        record, why = newest_usable(records, name, wanted[name])
        if name in rerun:
            missing.append(Pending(name, "asked for"))
        elif record is None:
            missing.append(Pending(name, why))
        elif now - record.finished_at > timedelta(seconds=min(ages)):
            age = duration_text((now - record.finished_at).total_seconds())
            missing.append(Pending(name, f"stale: {age} old, at most {duration_text(min(ages))} counts"))
        elif short := _too_short(plan_file, record, profile):
            missing.append(Pending(name, short))
        elif record.outcome in ("errored", "inconclusive"):  # it showed nothing: neither good nor bad
            missing.append(Pending(name, f"{record.outcome}: {record.summary}"))
        else:
            fresh.append(record)
    return missing, fresh


def _too_short(plan_file: PlanFile, record: Record, profile: str) -> str | None:
    """Why a load or soak was shorter than the profile asks for; None when it was not."""
    collect, asked = plan_file.plan.collect[record.collector], profile_of(plan_file, profile)
    if isinstance(collect, LoadCollect) and isinstance(record.result, LoadResult):
        # A load that a broken limit ended has shown enough.
        measured_s = record.result.planned_s if record.result.aborted else record.result.duration_s
        asked_s = collect.length_s(asked.load)
    elif isinstance(collect, SoakCollect) and isinstance(record.result, SoakResult):
        # A failure counts, whatever ended it early; a soak that a person ended counts for what it was. The hours are
        # those of all its nights where the plan lets them add up.
        hours = record.result.hours_under_load
        hours = max(hours, record.result.target_hours) if record.outcome == "failed" else hours
        measured_s, asked_s = hours * 3600, asked.soak
    else:
        return None
    if measured_s >= asked_s * 0.99:
        return None
    return f"{duration_text(measured_s)} measured, profile {profile} asks for {duration_text(asked_s)}"


def conclude(
    plan_file: PlanFile,
    store: EvidenceStore,
    *,
    level: Level,
    failures: Mapping[str, str] | None = None,
    reused: Sequence[str] = (),
    also: Sequence[Record] = (),
    now: datetime | None = None,
) -> Conclusion:
    """Decide on what the ledger holds, and on records that it does not hold yet (``also``).

    ``failures`` says of collectors why they could not measure.
    """
    records, invalid = store.records(subject_of(plan_file).digest)
    decision = decide(
        plan_file.plan,
        [*records, *also],
        wanted_of(plan_file),
        level=level,
        now=now or datetime.now(UTC),
        plan_digest=plan_file.digest,
        invalid_records=invalid,
        failures=failures or {},
        signers=signers_of(plan_file),
    )
    return Conclusion(decision, tuple(records), tuple(reused))


def record_decision(
    plan_file: PlanFile, store: EvidenceStore, conclusion: Conclusion, report_text: str, started_at: datetime
) -> Record:
    """Sign the decision itself into the ledger, bound to plan, evidence and report by digest."""
    decision = conclusion.decision
    measurement = Measurement(
        result=DecisionResult(
            requested_level=decision.requested_level,
            authorized_level=decision.authorized_level,
            decision=decision.decision,
            claims_required=decision.confidence.required,
            claims_proven=decision.confidence.proven,
            plan_digest=decision.plan_digest,
            evidence_root=decision.evidence_root,
            report_digest=hashlib.sha256(report_text.encode()).hexdigest(),
        ),
        outcome="passed" if decision.decision == "GO" else "inconclusive" if decision.decision == "HOLD" else "failed",
        summary=f"{decision.decision} at level {decision.requested_level}",
        started_at=started_at,
        finished_at=decision.decided_at,
    )
    return store.record(subject_of(plan_file), "decision", {"plan": f"sha256:{plan_file.digest}"}, measurement)
