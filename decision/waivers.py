"""Waivers: signed exceptions to one claim each, which end by themselves. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from decision.authority import Authority
from decision.claims import ClaimVerdict
from decision.plan_parts import Claim
from evidence.acts import WaiverResult
from evidence.dsse import json_sha256
from evidence.record import Record

WaiverStatus = Literal["in force", "not needed", "expired", "void"]


class WaiverState(BaseModel):
    """A waiver as it stands now; ``why`` says why it is not in force."""

    model_config = ConfigDict(frozen=True)

    claim: str
    status: WaiverStatus
    why: str
    person: str
    role: str
    owner: str
    reason: str
    signed_at: datetime
    expires_at: datetime
    record_id: str


def judge_waivers(records: Sequence[Record], claims: Sequence[ClaimVerdict], authority: Authority) -> list[WaiverState]:
    """Every waiver of the subject, oldest first. Those that match nothing are told, too."""
    judged = {claim.id: claim for claim in claims}
    return [
        _judge(record, record.result, judged, authority)
        for record in sorted(records, key=lambda r: (r.finished_at, r.sequence))
        if isinstance(record.result, WaiverResult)
    ]


def claim_digest(claim: Claim) -> str:
    """The sha256 (hex) of a claim as the plan states it: what a waiver is an exception to."""
    return json_sha256(claim.model_dump(mode="json"))


def _judge(
    record: Record, waiver: WaiverResult, claims: Mapping[str, ClaimVerdict], authority: Authority
) -> WaiverState:
    plan = authority.plan
    expires_at = min(waiver.expires_at, record.finished_at + timedelta(seconds=plan.waivers.valid))
    claim = claims.get(waiver.claim)
    status: WaiverStatus = "void"
    if (objection := authority.objection(record, plan.waivers.roles)) is not None:
        why = objection
    elif claim is None:
        why = "the plan has no such claim"
    elif claim_digest(plan.claim(waiver.claim)) != waiver.claim_digest:
        why = "the claim is another one now than the one that was waived"
    elif waiver.owner not in {person.name for person in plan.people.values()}:
        why = f"its owner {waiver.owner} is no person of the plan"
    elif authority.now >= expires_at:
        status, why = "expired", f"ended on {expires_at:%Y-%m-%d %H:%M} UTC"
    elif claim.verdict == "PROVEN":
        status, why = "not needed", "the claim is proven"
    elif claim.verdict == "REFUTED" and waiver.verdict != "REFUTED":
        why = "the claim was not proven when it was waived, and is refuted now"
    else:
        status, why = "in force", ""
    return WaiverState(
        claim=waiver.claim,
        status=status,
        why=why,
        person=plan.people[waiver.role].name if waiver.role in plan.people else waiver.person,
        role=waiver.role,
        owner=waiver.owner,
        reason=waiver.reason,
        signed_at=record.finished_at,
        expires_at=expires_at,
        record_id=record.record_id,
    )


def waived(claims: Sequence[ClaimVerdict], waivers: Sequence[WaiverState]) -> tuple[ClaimVerdict, ...]:
    """The claims, those with a waiver in force as WAIVED; what was measured stays in their reasons."""
    in_force = {waiver.claim: waiver for waiver in waivers if waiver.status == "in force"}
    return tuple(_waived(claim, in_force[claim.id]) if claim.id in in_force else claim for claim in claims)


def _waived(claim: ClaimVerdict, waiver: WaiverState) -> ClaimVerdict:
    exception = (
        f"waived by {waiver.person} ({waiver.role}) until {waiver.expires_at:%Y-%m-%d %H:%M} UTC,"
        f" owner {waiver.owner}: {waiver.reason}"
    )
    reasons = (f"without the waiver {claim.verdict}", *claim.reasons, exception)
    return claim.model_copy(update={"verdict": "WAIVED", "reasons": reasons})
