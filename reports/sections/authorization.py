"""Who authorises what, over which hash, for how long; what is missing; what the decision covers."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from decision.approvals import ApprovalState, Root
from decision.decide import Decision
from decision.levels import LEVELS, Level, levels_up_to
from decision.plan import Plan
from decision.waivers import WaiverState
from reports.formats import minute, percent, plural, short
from reports.part import Part
from reports.sections.claim_lines import ClaimLine

_DECISION_MARKS = {"GO": "✓", "CONDITIONAL GO": "!", "NO-GO": "✗", "HOLD": "…"}


class ActLine(Part):
    """What a person signed: what it says, how it stands, and what makes it so."""

    mark: str
    says: str
    status: str
    details: tuple[str, ...]
    record_id: str


class RootLine(Part):
    """What a signature for a level is over, and how to give it."""

    level: str
    digest: str
    policy: str
    sign: str


class AuthorizationPart(Part):
    """The section."""

    status: str
    mark: str
    decided_at: str
    scheduled: str
    approved_by: str
    approvals: tuple[ActLine, ...]
    approvals_missing: tuple[str, ...]
    waivers: tuple[ActLine, ...]
    roots: tuple[RootLine, ...]
    evidence_root: str
    plan_digest: str
    authorises: str
    window: str
    reasons: tuple[str, ...]


def decision_mark(decision: Decision) -> str:
    """The mark beside the decision's word."""
    return _DECISION_MARKS[decision.decision]


def is_go(decision: Decision) -> bool:
    """Whether the requested level is authorised."""
    return decision.decision in ("GO", "CONDITIONAL GO")


def authorization_part(plan: Plan, decision: Decision, claims: Mapping[str, ClaimLine]) -> AuthorizationPart:
    """The section."""
    level = decision.requested_level
    return AuthorizationPart(
        status=f"{decision.decision} FOR {level.upper()}",
        mark=decision_mark(decision),
        decided_at=minute(decision.decided_at),
        scheduled=minute(plan.schedule.deploy),
        approved_by=_approved_by(plan, decision),
        approvals=tuple(_approval(approval) for approval in decision.approvals),
        approvals_missing=tuple(f"{a.person} ({a.role}) for level {a.level}" for a in decision.approvals_missing),
        waivers=tuple(_waiver(waiver) for waiver in decision.waivers),
        roots=tuple(_root(plan, decision.roots[level]) for level in LEVELS if plan.approvals.get(level)),
        evidence_root=decision.evidence_root,
        plan_digest=decision.plan_digest,
        authorises=authorises(plan, decision),
        window=_window(plan, decision),
        reasons=_reasons(decision, claims),
    )


def authorises(plan: Plan, decision: Decision) -> str:
    """What this decision lets happen: one stage of one digest, or nothing."""
    level, digest = decision.requested_level, short(decision.subject)
    if not is_go(decision):
        return f"nothing at level {level}."
    return f"{_what(plan, level)} of {plan.subject.name} {plan.subject.version}, digest {digest}, and nothing else."


def _approved_by(plan: Plan, decision: Decision) -> str:
    """The signatures that stand."""
    signed = [
        f"{a.person} ({a.role}) for level {a.level} on {minute(a.signed_at)}"
        for a in decision.approvals
        if a.status == "signed"
    ]
    if signed:
        return ", ".join(signed)
    asked = any(plan.approvals.get(level) for level in levels_up_to(decision.requested_level))
    return "nobody" if asked else f"nobody: up to {decision.requested_level} the plan asks for no signature"


def _approval(approval: ApprovalState) -> ActLine:
    did = "refused" if approval.word == "refuse" else "approved"
    says = f"{approval.person} ({approval.role}) {did} level {approval.level} on {minute(approval.signed_at)}"
    details = [f"Why: {approval.why}"] if approval.why else [f"counts until {minute(approval.not_after)}"]
    if approval.reason and approval.reason != approval.why:
        details.append(f"Reason given: {approval.reason}")
    return ActLine(
        mark={"signed": "✓", "refused": "✗"}.get(approval.status, "…"),
        says=says,
        status=approval.status.upper(),
        details=(*details, f"over root {approval.root[:12]}; record {short(approval.record_id)}"),
        record_id=approval.record_id,
    )


def _waiver(waiver: WaiverState) -> ActLine:
    return ActLine(
        mark="!" if waiver.status == "in force" else "…",
        says=f"{waiver.claim}: waived by {waiver.person} ({waiver.role}) until {minute(waiver.expires_at)}",
        status=waiver.status.upper(),
        details=(
            *([f"Why: {waiver.why}"] if waiver.why else []),
            f"Owner: {waiver.owner}. Reason given: {waiver.reason}",
            f"signed {minute(waiver.signed_at)}; record {short(waiver.record_id)}",
        ),
        record_id=waiver.record_id,
    )


def _root(plan: Plan, root: Root) -> RootLine:
    roles = [role for rule in plan.approvals[root.level] for role in rule.roles]
    role = roles[0] if len(roles) == 1 else f"{{{'|'.join(roles)}}}"
    return RootLine(
        level=root.level,
        digest=root.digest,
        policy=root.policy,
        sign=f"gonogo approve PLAN --level {root.level} --role {role} --root {root.digest[:32]} --key FILE",
    )


def _what(plan: Plan, level: Level) -> str:
    if level == "rehearsal":
        return "a rehearsal without production traffic"
    stage = next((stage for stage in plan.rollout.stages if stage.name == level), None)
    return f"the stage {level}" + (f" ({percent(stage.share)} of the traffic)" if stage else "")


def _window(plan: Plan, decision: Decision) -> str:
    if not is_go(decision):
        return "none"
    ends = list(_ends(decision))
    if not ends:
        return "none: no claim has evidence"
    end, because = min(ends)
    text = f"{minute(decision.decided_at)} to {minute(end)}, when {because}"
    deploy = plan.schedule.deploy
    if decision.decided_at <= deploy <= end:
        return f"{text}; the scheduled deployment lies inside"
    return f"{text}; the scheduled deployment ({minute(deploy)}) lies outside"


def _ends(decision: Decision) -> Iterator[tuple[datetime, str]]:
    """When something that the decision rests on ends: evidence, a waiver, a signature."""
    levels = levels_up_to(decision.requested_level)
    required = {claim.id: claim for claim in decision.claims if set(levels) & set(claim.gates)}
    for claim in required.values():
        if claim.verdict == "PROVEN" and claim.valid_until:
            yield claim.valid_until, f"the evidence for {claim.says!r} is too old"
    for waiver in decision.waivers:
        if waiver.status == "in force" and waiver.claim in required:
            yield waiver.expires_at, f"the waiver of {waiver.claim} ends"
    for approval in decision.approvals:
        if approval.status == "signed" and approval.level in levels:
            yield approval.not_after, f"the signature of {approval.person} for level {approval.level} ends"


def _reasons(decision: Decision, claims: Mapping[str, ClaimLine]) -> tuple[str, ...]:
    required = [claim for claim in claims.values() if claim.required]
    proven = sum(claim.verdict == "PROVEN" for claim in required)
    levels = levels_up_to(decision.requested_level)
    missing = sum(approval.level in levels for approval in decision.approvals_missing)
    refuted = sum(claim.verdict == "REFUTED" for claim in required)
    refused = [a for a in decision.approvals if a.status == "refused" and a.level in levels]
    invalid = len(decision.invalid_records)
    return (
        f"{proven} of {plural(len(required), 'claim')} required for {decision.requested_level} proven.",
        *([f"{plural(refuted, 'required claim')} refuted."] if refuted else []),
        *(f"{a.person} ({a.role}) refused level {a.level}: {a.reason}" for a in refused),
        f"{plural(missing, 'signature')} missing for {decision.requested_level} or a level below it."
        if missing
        else f"No signature is missing for {decision.requested_level}.",
        *([f"{plural(invalid, 'record')} of the ledger did not verify."] if invalid else []),
        f"Overall risk: {decision.risk}.",
    )
