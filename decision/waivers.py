"""Waivers: signed exceptions to one claim each, which end by themselves. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from decision.authority import Authority
from decision.claims import ClaimVerdict
from evidence.record import Record
from evidence.results import WaiverResult

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
    verdicts = {claim.id: claim.verdict for claim in claims}
    return [
        _judge(record, record.result, verdicts, authority)
        for record in sorted(records, key=lambda r: (r.finished_at, r.sequence))
        if isinstance(record.result, WaiverResult)
    ]


def _judge(record: Record, waiver: WaiverResult, verdicts: Mapping[str, str], authority: Authority) -> WaiverState:
    rule = authority.plan.waivers
    expires_at = min(waiver.expires_at, record.finished_at + timedelta(seconds=rule.valid))
    status: WaiverStatus = "void"
    if (objection := authority.objection(record, rule.roles)) is not None:
        why = objection
    elif waiver.claim not in verdicts:
        why = "the plan has no such claim"
    elif authority.now >= expires_at:
        status, why = "expired", f"ended on {expires_at:%Y-%m-%d %H:%M} UTC"
    elif verdicts[waiver.claim] == "PROVEN":
        status, why = "not needed", "the claim is proven"
    else:
        status, why = "in force", ""
    return WaiverState(
        claim=waiver.claim,
        status=status,
        why=why,
        person=waiver.person,
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
