"""What a person signs: an approval or refusal of a level, a waiver of a claim, a revocation. No Prefect here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from decision.authority import authority_of
from decision.decide import Decision
from decision.inputs import signers_of, subject_of
from decision.levels import Level, levels_up_to
from decision.plan_file import PlanFile
from decision.waivers import claim_digest
from evidence.keys import public_text
from evidence.measurement import Measurement
from evidence.record import Record
from evidence.results import Act, ApprovalResult, RevocationResult, WaiverResult
from evidence.store import EvidenceStore
from flows.authorization import conclude
from processes.errors import UsageError

_ROOT_PREFIX_AT_LEAST = 32


@dataclass(frozen=True)
class Hand:
    """A person's key and the role it is to speak for."""

    role: str
    key: Ed25519PrivateKey

    @property
    def public_key(self) -> str:
        """The public key as OpenSSH writes it."""
        return public_text(self.key.public_key())


def approve(
    plan_file: PlanFile,
    store: EvidenceStore,
    hand: Hand,
    *,
    level: Level,
    root: str,
    refuse: bool,
    reason: str,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Record:
    """Sign one level over its present approval root, which must begin with ``root``.

    Raises UsageError when it does not, when the key or role may not sign, and when an approval would count for nothing.
    """
    now = datetime.now(UTC)
    decision = conclude(plan_file, store, level=level, now=now).decision
    present = decision.roots[level]
    if len(root) < _ROOT_PREFIX_AT_LEAST or not present.digest.startswith(root.lower()):
        raise UsageError(
            f"--root {root}: level {level} has the root {present.digest} now; read the report (gonogo report) and give"
            f" at least {_ROOT_PREFIX_AT_LEAST} digits of the root that it shows"
        )
    rule = next((r for r in plan_file.plan.approvals.get(level, ()) if hand.role in r.roles), None)
    if rule is None:
        raise UsageError(f"the plan asks no {hand.role} to sign level {level}")
    if not refuse:
        _ready(decision, level)
    reason = _reason(reason, needed=refuse)
    not_before = not_before or now
    not_after = not_after or not_before + timedelta(seconds=rule.valid)
    if not_after <= max(not_before, now) or not_after > now + timedelta(seconds=rule.valid):
        raise UsageError(f"the window must end after it begins, and at most {rule.valid:g} s from now")
    act = ApprovalResult(
        **_of(plan_file, hand, reason),
        level=level,
        word="refuse" if refuse else "approve",
        not_before=not_before,
        not_after=not_after,
        root=present.digest,
        plan_digest=present.plan_digest,
        policy=present.policy,
        evidence=present.evidence,
        waivers=present.waivers,
    )
    return _sign(plan_file, store, hand, act, rule.roles, f"{act.person} {act.word}s level {level}", now)


def waive(
    plan_file: PlanFile,
    store: EvidenceStore,
    hand: Hand,
    *,
    claim: str,
    owner: str,
    reason: str,
    expires_at: datetime,
) -> Record:
    """Sign an exception to one claim. Raises UsageError when it would count for nothing."""
    now, rule = datetime.now(UTC), plan_file.plan.waivers
    if claim not in {c.id for c in plan_file.plan.claims}:
        raise UsageError(f"the plan has no claim {claim!r}; it has {', '.join(c.id for c in plan_file.plan.claims)}")
    if owner not in plan_file.plan.people:
        raise UsageError(f"--owner {owner}: expected a role of the plan: {', '.join(plan_file.plan.people)}")
    reason = _reason(reason, needed=True)
    if not now < expires_at <= now + timedelta(seconds=rule.valid):
        raise UsageError(f"--expires: expected a time within {rule.valid / 86400:g} days from now")
    act = WaiverResult(
        **_of(plan_file, hand, reason),
        claim=claim,
        claim_digest=claim_digest(plan_file.plan.claim(claim)),
        verdict=_waivable(plan_file, store, claim, now),
        owner=plan_file.plan.people[owner].name,
        expires_at=expires_at,
    )
    return _sign(plan_file, store, hand, act, rule.roles, f"{act.person} waives {claim}", now)


def _waivable(plan_file: PlanFile, store: EvidenceStore, claim: str, now: datetime) -> Literal["REFUTED", "NOT PROVEN"]:
    """What is waived: the verdict of the claim now, without the waivers that it has. Raises UsageError for PROVEN."""
    verdict = conclude(plan_file, store, level="full", now=now).decision.measured[claim]
    if verdict not in ("REFUTED", "NOT PROVEN"):
        raise UsageError(f"{claim} is proven: there is nothing to waive")
    return verdict


def revoke(plan_file: PlanFile, store: EvidenceStore, hand: Hand, *, record: str, reason: str) -> Record:
    """Sign the end of an approval or waiver, named by the beginning of its id. Raises UsageError.

    A refusal cannot be revoked: its signer may say another word, or the evidence may change.
    """
    reason = _reason(reason, needed=True)
    records, _ = store.records(subject_of(plan_file).digest)
    acts = [r for r in records if isinstance(r.result, ApprovalResult | WaiverResult)]
    found = [r for r in acts if r.record_id.startswith(record)]
    if len(found) != 1:
        raise UsageError(f"{record}: {len(found)} approvals or waivers of this subject begin with it")
    if isinstance(found[0].result, ApprovalResult) and found[0].result.word == "refuse":
        raise UsageError(f"{record}: a refusal cannot be revoked; who refused may approve instead")
    act = RevocationResult(**_of(plan_file, hand, reason), revokes=found[0].record_id)
    roles = tuple(plan_file.plan.people)
    return _sign(plan_file, store, hand, act, roles, f"{act.person} revokes {record}", datetime.now(UTC))


def _reason(text: str, *, needed: bool) -> str:
    """The reason as it is signed. Raises UsageError when it says nothing, or is no text."""
    if needed and not text.strip():
        raise UsageError("say with --reason why")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("--reason is no text in UTF-8") from error
    return text.strip()


def _ready(decision: Decision, level: Level) -> None:
    levels = set(levels_up_to(level))
    open_claims = [c.id for c in decision.claims if c.verdict not in ("PROVEN", "WAIVED") and levels & set(c.gates)]
    if open_claims or decision.invalid_records:
        what = ", ".join(open_claims) or "the ledger holds records that do not verify"
        raise UsageError(f"level {level} is not ready to be signed: not proven: {what} (--refuse can be signed)")


def _of(plan_file: PlanFile, hand: Hand, reason: str) -> Mapping[str, str]:
    person = plan_file.plan.people.get(hand.role)
    if person is None:
        raise UsageError(f"--role {hand.role}: expected one of {', '.join(plan_file.plan.people)}")
    return {"role": hand.role, "person": person.name, "reason": reason, "public_key": hand.public_key}


def _sign(
    plan_file: PlanFile,
    store: EvidenceStore,
    hand: Hand,
    act: Act,
    roles: tuple[str, ...],
    summary: str,
    now: datetime,
) -> Record:
    """Append the act, unless it would count for nothing: then nothing is written."""
    subject = subject_of(plan_file)
    records, _ = store.records(subject.digest)
    measurement = Measurement(result=act, outcome="passed", summary=summary, started_at=now, finished_at=now)
    draft = store.draft(subject, measurement.kind, {}, measurement, key=hand.key)
    if objection := authority_of(plan_file.plan, signers_of(plan_file), records, now).objection(draft, roles):
        raise UsageError(f"this signature would not count: {objection}")
    return store.record(subject, measurement.kind, {}, measurement, key=hand.key)
