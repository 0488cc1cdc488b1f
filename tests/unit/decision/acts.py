"""People with keys, and what they sign, as a ledger would hold it."""

from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from decision.approvals import Root
from decision.plan import Plan
from decision.waivers import claim_digest
from evidence.acts import ApprovalResult, RevocationResult, WaiverResult
from evidence.allowed_signers import Signer
from evidence.dsse import key_id
from evidence.keys import public_text
from evidence.record import Record
from tests.unit.decision.factories import NOW, make_record

ADA, GRACE, STRANGER = (Ed25519PrivateKey.generate() for _ in range(3))

SIGNERS = {"approver": (Signer(("ada",), ADA.public_key()),), "operator": (Signer(("grace",), GRACE.public_key()),)}

_NAMES = {"approver": "Ada", "operator": "Grace", "validator": "Robot", "a": "A", "b": "B"}


def act(result: Any, key: Ed25519PrivateKey, at: datetime = NOW) -> Record:
    return make_record(result.__class__.__name__, result, signed_by=key_id(key.public_key()), finished_at=at)


def approval(
    over: Root, *, role: str = "approver", key: Ed25519PrivateKey = ADA, at: datetime = NOW, **changes: Any
) -> Record:
    values: dict[str, Any] = {
        "role": role,
        "person": _NAMES[role],
        "reason": "",
        "public_key": public_text(key.public_key()),
        "level": over.level,
        "word": "approve",
        "not_before": at,
        "not_after": at + timedelta(days=7),
        "root": over.digest,
        "plan_digest": over.plan_digest,
        "policy": over.policy,
        "evidence": over.evidence,
        "waivers": over.waivers,
    }
    return act(ApprovalResult(**(values | changes)), key, at)


def waiver(plan: Plan, claim: str, *, key: Ed25519PrivateKey = ADA, at: datetime = NOW, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "role": "approver",
        "person": "Ada",
        "reason": "the soak ends on Friday",
        "public_key": public_text(key.public_key()),
        "claim": claim,
        "claim_digest": claim_digest(plan.claim(claim)) if claim in {c.id for c in plan.claims} else "0" * 64,
        "verdict": "REFUTED",
        "owner": "Grace",
        "expires_at": at + timedelta(days=5),
    }
    return act(WaiverResult(**(values | changes)), key, at)


def revocation(record: Record, *, key: Ed25519PrivateKey = GRACE, role: str = "operator") -> Record:
    return act(
        RevocationResult(
            role=role,
            person=_NAMES[role],
            reason="signed by mistake",
            public_key=public_text(key.public_key()),
            revokes=record.record_id,
        ),
        key,
    )
