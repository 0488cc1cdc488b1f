"""From the verdicts of all claims to the decision. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from decision.approvals import (
    ApprovalNeeded,
    ApprovalState,
    Root,
    judge_approvals,
    missing_approvals,
    root_of,
)
from decision.authority import Signers, authority_of
from decision.claims import ClaimVerdict, Verdict, Wanted, judge_claim
from decision.collect import is_added
from decision.collect_rollout import LivedCollect
from decision.confidence import Confidence, confidence_of
from decision.levels import LEVELS, Level, levels_up_to
from decision.plan import Plan
from decision.plan_parts import RiskLevel
from decision.risk import RiskVerdict, judge_risks, overall_risk
from decision.waivers import WaiverState, judge_waivers, waived
from evidence.record import Record

DecisionWord = Literal["GO", "CONDITIONAL GO", "NO-GO", "HOLD"]

EXIT_CODES: dict[DecisionWord, int] = {"GO": 0, "CONDITIONAL GO": 10, "NO-GO": 20, "HOLD": 30}
"""1 is never used: a crash must not look like a verdict."""


class MissingStep(BaseModel):
    """One step of the cheapest path to GO. ``hours`` is what the measurement itself takes; None for a person's act."""

    model_config = ConfigDict(frozen=True)

    does: str
    owner: str
    hours: float | None
    claims: tuple[str, ...]
    levels: tuple[Level, ...]


class Decision(BaseModel):
    """The decision about one subject at one time, with everything it was derived from.

    ``measured`` are the verdicts of the claims without any waiver.
    """

    model_config = ConfigDict(frozen=True)

    release: str
    requested_level: Level
    authorized_level: Level | None
    decision: DecisionWord
    decided_at: datetime
    subject: str
    plan_digest: str
    evidence_root: str
    claims: tuple[ClaimVerdict, ...]
    measured: dict[str, Verdict]
    invalid_records: tuple[str, ...]
    blocking: tuple[str, ...]
    confidence: Confidence
    risk: RiskLevel
    risks: tuple[RiskVerdict, ...]
    contingencies: tuple[RiskVerdict, ...]
    approvals: tuple[ApprovalState, ...]
    approvals_missing: tuple[ApprovalNeeded, ...]
    waivers: tuple[WaiverState, ...]
    roots: dict[Level, Root]
    missing: tuple[MissingStep, ...]

    def claim(self, claim_id: str) -> ClaimVerdict:
        """The verdict of one claim. Raises KeyError."""
        for claim in self.claims:
            if claim.id == claim_id:
                return claim
        raise KeyError(claim_id)

    @property
    def lacks_only_signatures(self) -> bool:
        """Whether the requested level would be reached if the people who are asked signed it."""
        return self.decision == "HOLD" and not self.blocking

    @property
    def exit_code(self) -> int:
        """The exit code of the command line for this decision."""
        return EXIT_CODES[self.decision]


def decide(
    plan: Plan,
    records: Sequence[Record],
    wanted: Mapping[str, Wanted],
    *,
    level: Level,
    now: datetime,
    plan_digest: str,
    invalid_records: Sequence[str] = (),
    failures: Mapping[str, str] = MappingProxyType({}),
    signers: Signers = MappingProxyType({}),
) -> Decision:
    """Decide ``level`` for the subject and inputs that ``wanted`` names for each collector.

    ``invalid_records`` are ids of records that failed verification: with any of them the answer is NO-GO.
    ``failures`` says of collectors why their last attempt measured nothing. ``signers`` are the keys of each role;
    approvals, waivers and revocations are among the records.
    """
    known = list(records)
    subject = next(iter(wanted.values())).subject
    authority = authority_of(plan, signers, known, now)
    evidence = measurements(plan, known)
    measured = tuple(
        judge_claim(claim, evidence, wanted[claim.needs], now, failures.get(claim.needs)) for claim in plan.claims
    )
    waivers = judge_waivers(known, measured, authority)
    claims = waived(measured, waivers)
    roots = {level: root_of(level, subject, plan_digest, claims, waivers) for level in LEVELS}
    approvals = judge_approvals(known, roots, authority)
    approvals_missing = missing_approvals(plan.approvals, approvals, authority)
    authorized = _authorized_level(claims, approvals, approvals_missing) if not invalid_records else None
    required = [c for c in claims if set(c.gates) & set(levels_up_to(level))]
    blocking = tuple(f"{c.says}: {'; '.join(c.reasons)}" for c in required if c.verdict in ("REFUTED", "NOT PROVEN"))
    verdicts = {c.id: c.verdict for c in claims}
    risks = judge_risks([(r.risk, r.mitigation, r.proven_by, r.inherent, r.residual) for r in plan.risks], verdicts)
    return Decision(
        release=plan.release,
        requested_level=level,
        authorized_level=authorized,
        decision=_word(level, authorized, required, invalid_records, approvals),
        decided_at=now,
        subject=subject,
        plan_digest=plan_digest,
        evidence_root=evidence_root([c.record_id for c in claims if c.record_id]),
        claims=claims,
        measured={claim.id: claim.verdict for claim in measured},
        invalid_records=tuple(invalid_records),
        blocking=blocking,
        confidence=confidence_of(required, known),
        risk=overall_risk(risks),
        risks=risks,
        contingencies=judge_risks([(c.says, "", c.proven_by, "HIGH", "LOW") for c in plan.contingencies], verdicts),
        approvals=approvals,
        approvals_missing=approvals_missing,
        waivers=tuple(waivers),
        roots=roots,
        missing=_missing_steps(plan, claims, approvals_missing),
    )


def measurements(plan: Plan, records: Sequence[Record]) -> list[Record]:
    """The records that are of the kind that their collector measures: whatever else bears its name is none of it."""
    return [r for r in records if r.collector in plan.collect and plan.collect[r.collector].kind == r.kind]


def evidence_root(record_ids: Sequence[str]) -> str:
    """The sha256 over the sorted, distinct record ids (hex digests), one a line: what an approval signs."""
    return hashlib.sha256("".join(f"{i}\n" for i in sorted(set(record_ids))).encode()).hexdigest()


def _authorized_level(
    claims: Sequence[ClaimVerdict], approvals: Sequence[ApprovalState], missing: Sequence[ApprovalNeeded]
) -> Level | None:
    reached: Level | None = None
    for level in LEVELS:
        unsigned = any(a.level == level for a in missing)
        refused = any(a.level == level and a.status == "refused" for a in approvals)
        unproven = any(c.verdict not in ("PROVEN", "WAIVED") for c in claims if level in c.gates)
        if unproven or unsigned or refused:
            break
        reached = level
    return reached


def _word(
    level: Level,
    authorized: Level | None,
    required: Sequence[ClaimVerdict],
    invalid: Sequence[str],
    approvals: Sequence[ApprovalState],
) -> DecisionWord:
    refused = any(a.status == "refused" and a.level in levels_up_to(level) for a in approvals)
    if invalid or refused or any(c.verdict == "REFUTED" for c in required):
        return "NO-GO"
    if authorized is None or LEVELS.index(authorized) < LEVELS.index(level):
        return "HOLD"
    return "CONDITIONAL GO" if any(c.verdict == "WAIVED" for c in required) else "GO"


def _missing_steps(
    plan: Plan, claims: Sequence[ClaimVerdict], approvals: Sequence[ApprovalNeeded]
) -> tuple[MissingStep, ...]:
    """What must still happen, measurements first (people sign what was measured), cheapest first."""
    by_collector: dict[str, list[ClaimVerdict]] = {}
    for claim in claims:
        if claim.verdict in ("REFUTED", "NOT PROVEN") and claim.gates:
            by_collector.setdefault(claim.needs, []).append(claim)
    steps = [_measure_step(plan, collector, open_claims) for collector, open_claims in by_collector.items()]
    steps.sort(key=lambda step: step.hours or 0.0)
    signatures = [
        MissingStep(
            does=f"Signature of {a.person} ({a.role}) for level {a.level}",
            owner=a.person,
            hours=None,
            claims=(),
            levels=(a.level,),
        )
        for a in approvals
    ]
    return (*steps, *signatures)


def _measure_step(plan: Plan, collector: str, claims: Sequence[ClaimVerdict]) -> MissingStep:
    refuted = any(c.verdict == "REFUTED" for c in claims)
    hours = 0.0
    for claim in claims:
        for result in claim.criteria:
            if result.field == "hours_under_load" and result.holds == "too-little" and result.margin is not None:
                hours = max(hours, hours_of_one_run(plan, claim.id))
    says = ", ".join(c.says for c in claims)
    collect = plan.collect[collector]
    if isinstance(collect, LivedCollect):
        stage = next(stage for stage in plan.rollout.stages if stage.name == collect.stage)
        verb, hours = f"live through stage {stage.name} of the rollout, for", stage.minimum / 3600
    else:
        verb = "add results of" if is_added(collect) else "measure"
    return MissingStep(
        does=f"{f'Mend what refutes, then {verb}' if refuted else verb.capitalize()} {collector}: {says}",
        owner=plan.people[plan.collect[collector].owner].name,
        hours=hours,
        claims=tuple(c.id for c in claims),
        levels=tuple(level for level in LEVELS if any(level in c.gates for c in claims)),
    )


def hours_of_one_run(plan: Plan, claim_id: str) -> float:
    """The hours under load that a claim needs in one soak (a soak of another length does not add up)."""
    limit = plan.claim(claim_id).criteria["hours_under_load"].at_least
    return limit or 0.0


def next_expiry(decision: Decision) -> datetime | None:
    """When the first thing that the requested level rests on ends: evidence that becomes too old, or a waiver."""
    needed = {c.id: c for c in decision.claims if set(c.gates) & set(levels_up_to(decision.requested_level))}
    ends = [c.valid_until for c in needed.values() if c.verdict == "PROVEN" and c.valid_until]
    ends += [w.expires_at for w in decision.waivers if w.status == "in force" and w.claim in needed]
    return min(ends, default=None)


def stale_at(decision: Decision, at: datetime) -> tuple[ClaimVerdict, ...]:
    """The proven claims whose evidence will be too old at a planned time."""
    margin = timedelta(0)
    return tuple(c for c in decision.claims if c.verdict == "PROVEN" and c.valid_until and c.valid_until - at < margin)
