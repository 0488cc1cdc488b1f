"""What a person signs: an approval or refusal of a level, a waiver of a claim, a revocation. No Prefect here.

Signing needs no ledger: it makes an envelope. ``accept`` alone takes one into a ledger, wherever it was signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from decision.approvals import POLICY, Root, root_digest
from decision.authority import authority_of
from decision.decide import Decision
from decision.inputs import signers_of, subject_of
from decision.levels import LEVELS, Level, levels_up_to
from decision.plan_file import PlanFile
from decision.waivers import claim_digest
from evidence.acts import Act, ApprovalResult, RevocationResult, WaiverResult
from evidence.dsse import parse_strict, sign, unverified_payload
from evidence.keys import public_text
from evidence.measurement import Measurement
from evidence.record import Record, Subject
from evidence.statement import build_statement
from evidence.store import EvidenceStore, read_act
from flows.authorization import conclude
from processes.errors import IntegrityError, UsageError, first_line

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


@dataclass(frozen=True)
class Accepted:
    """An act in the ledger. ``new`` is False when the ledger held the same envelope before."""

    record: Record
    new: bool


def request_of(plan_file: PlanFile, store: EvidenceStore, level: Level) -> Root:
    """What an approval of a level would be over now."""
    return conclude(plan_file, store, level=level).decision.roots[level]


def read_request(content: bytes, plan_file: PlanFile, level: Level) -> Root:
    """The approval request in a file: whole, and about the plan and the subject as they are here. Raises UsageError."""
    try:
        request = Root.model_validate(parse_strict(content), strict=True)
    except (IntegrityError, ValidationError) as error:
        raise UsageError("--request: is no approval request (gonogo request prints one)") from error
    objections = {
        "its digest is not that of its content": request.digest != root_digest(request),
        f"it is for level {request.level}": request.level != level,
        f"it is about another plan than {plan_file.path.name} here": request.plan_digest != plan_file.digest,
        "it is about another subject than the one here": request.subject != subject_of(plan_file).digest,
        f"it follows the rules {request.policy}, this gonogo follows {POLICY}": request.policy != POLICY,
    }
    for objection, holds in objections.items():
        if holds:
            raise UsageError(f"--request: {objection}")
    return request


def sign_approval(
    plan_file: PlanFile,
    request: Root,
    hand: Hand,
    *,
    root: str,
    refuse: bool,
    reason: str,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> bytes:
    """The envelope of an approval or refusal over ``request``, whose digest must begin with ``root``.

    Raises UsageError when it does not, and when the plan lets neither role nor key sign this level.
    """
    now, level = datetime.now(UTC), request.level
    if len(root) < _ROOT_PREFIX_AT_LEAST or not request.digest.startswith(root.lower()):
        raise UsageError(
            f"--root {root}: level {level} has the root {request.digest} now; read the report (gonogo report) and give"
            f" at least {_ROOT_PREFIX_AT_LEAST} digits of the root that it shows"
        )
    rule = next((r for r in plan_file.plan.approvals.get(level, ()) if hand.role in r.roles), None)
    if rule is None:
        raise UsageError(f"the plan asks no {hand.role} to sign level {level}")
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
        root=request.digest,
        plan_digest=request.plan_digest,
        policy=request.policy,
        evidence=request.evidence,
        waivers=request.waivers,
    )
    envelope = _sign(plan_file, hand, act, now)
    # All that can be known without a ledger; who collected, and what was revoked, is seen when it is accepted.
    authority = authority_of(plan_file.plan, signers_of(plan_file), (), now)
    if objection := authority.objection(read_act(envelope), (hand.role,), restrains=refuse):
        raise UsageError(f"this signature would not count: {objection}")
    return envelope


def sign_waiver(
    plan_file: PlanFile, store: EvidenceStore, hand: Hand, *, claim: str, owner: str, reason: str, expires_at: datetime
) -> bytes:
    """The envelope of an exception to one claim. Raises UsageError when the plan allows no such exception."""
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
    return _sign(plan_file, hand, act, now)


def _waivable(plan_file: PlanFile, store: EvidenceStore, claim: str, now: datetime) -> Literal["REFUTED", "NOT PROVEN"]:
    """What is waived: the verdict of the claim now, without the waivers that it has. Raises UsageError for PROVEN."""
    verdict = conclude(plan_file, store, level="full", now=now).decision.measured[claim]
    if verdict not in ("REFUTED", "NOT PROVEN"):
        raise UsageError(f"{claim} is proven: there is nothing to waive")
    return verdict


def sign_revocation(plan_file: PlanFile, store: EvidenceStore, hand: Hand, *, record: str, reason: str) -> bytes:
    """The envelope of the end of an approval or waiver, named by the beginning of its id. Raises UsageError.

    A refusal cannot be revoked: its signer may say another word, or the evidence may change.
    """
    reason = _reason(reason, needed=True)
    records, _ = store.records(subject_of(plan_file).digest)
    acts = [r for r in records if isinstance(r.result, ApprovalResult | WaiverResult)]
    found = [r for r in acts if r.record_id.startswith(record)]
    if len(found) != 1:
        raise UsageError(f"{record}: {len(found)} approvals or waivers of this subject begin with it")
    if _refuses(found[0]):
        raise UsageError(f"{record}: a refusal cannot be revoked; who refused may approve instead")
    act = RevocationResult(**_of(plan_file, hand, reason), revokes=found[0].record_id)
    return _sign(plan_file, hand, act, datetime.now(UTC))


def accept(plan_file: PlanFile, store: EvidenceStore, envelope: bytes) -> Accepted:
    """Append what a person signed. Raises UsageError, and writes nothing, when it would count for nothing."""
    act = _act_in(envelope, plan_file)
    for row in store.ledger.find(act.record_id):
        return Accepted(store.read(row), new=False)
    _examine(plan_file, store, act)
    return Accepted(store.append_act(envelope), new=True)


def examine(plan_file: PlanFile, store: EvidenceStore, envelope: bytes) -> None:
    """Raises UsageError when what a person signed would count for nothing; nothing is written."""
    _examine(plan_file, store, _act_in(envelope, plan_file))


def _act_in(envelope: bytes, plan_file: PlanFile) -> Record:
    """The act in an envelope, which says what an act about the plan's subject says and nothing else."""
    subject = subject_of(plan_file)
    try:
        act = read_act(envelope)
    except IntegrityError as error:
        raise UsageError(f"this is nothing that a person signed: it {first_line(error)}") from error
    if (act.subject.name, act.subject.version, act.subject.digest) != (subject.name, subject.version, subject.digest):
        raise UsageError(f"this was signed for another subject: {act.subject.digest[:21]}, not {subject.digest[:21]}")
    assert isinstance(act.result, Act)
    if unverified_payload(envelope) != _statement(act.subject, act.result, act.finished_at):
        raise UsageError("this says more than an approval, waiver or revocation does")
    return act


def _examine(plan_file: PlanFile, store: EvidenceStore, act: Record) -> None:
    if objection := _objection(plan_file, store, act, datetime.now(UTC)):
        raise UsageError(f"this signature would not count: {objection}")


def _objection(plan_file: PlanFile, store: EvidenceStore, act: Record, now: datetime) -> str | None:
    """Why an act would count for nothing: the decision itself is asked, as if the ledger held the act."""
    known, _ = store.records(act.subject.digest)
    level = act.result.level if isinstance(act.result, ApprovalResult) else LEVELS[-1]
    decision = conclude(plan_file, store, level=level, also=[act], now=now).decision
    match act.result:
        case ApprovalResult():
            state = next(a for a in decision.approvals if a.record_id == act.record_id)
            if state.status in ("void", "superseded", "expired"):
                return state.why
            return None if _refuses(act) else _not_ready(decision, level)
        case WaiverResult():
            waiver = next(w for w in decision.waivers if w.record_id == act.record_id)
            return None if waiver.status == "in force" else waiver.why
        case RevocationResult():
            named = [r for r in known if r.record_id == act.result.revokes]
            if not any(isinstance(r.result, ApprovalResult | WaiverResult) and not _refuses(r) for r in named):
                return "the ledger holds no approval or waiver that it revokes"
            authority = authority_of(plan_file.plan, signers_of(plan_file), known, now)
            return authority.objection(act, plan_file.plan.people, restrains=True)
    return "it is no act that this version knows"


def _refuses(record: Record) -> bool:
    return isinstance(record.result, ApprovalResult) and record.result.word == "refuse"


def _not_ready(decision: Decision, level: Level) -> str | None:
    levels = set(levels_up_to(level))
    open_claims = [c.id for c in decision.claims if c.verdict not in ("PROVEN", "WAIVED") and levels & set(c.gates)]
    if not open_claims and not decision.invalid_records:
        return None
    what = ", ".join(open_claims) or "the ledger holds records that do not verify"
    return f"level {level} is not ready to be signed: not proven: {what} (--refuse can be signed)"


def _reason(text: str, *, needed: bool) -> str:
    """The reason as it is signed. Raises UsageError when it says nothing, or is no text."""
    if needed and not text.strip():
        raise UsageError("say with --reason why")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("--reason is no text in UTF-8") from error
    return text.strip()


def _of(plan_file: PlanFile, hand: Hand, reason: str) -> Mapping[str, str]:
    person = plan_file.plan.people.get(hand.role)
    if person is None:
        raise UsageError(f"--role {hand.role}: expected one of {', '.join(plan_file.plan.people)}")
    return {"role": hand.role, "person": person.name, "reason": reason, "public_key": hand.public_key}


def _sign(plan_file: PlanFile, hand: Hand, act: Act, at: datetime) -> bytes:
    return sign(_statement(subject_of(plan_file), act, at), hand.key)


def _statement(subject: Subject, act: Act, at: datetime) -> dict[str, object]:
    """All that the record of an act says: what is signed, and what is accepted, is exactly this."""
    measurement = Measurement(result=act, outcome="passed", summary=_summary(act), started_at=at, finished_at=at)
    return build_statement(subject, measurement.kind, {}, measurement, [])


def _summary(act: Act) -> str:
    match act:
        case ApprovalResult():
            return f"{act.person} {act.word}s level {act.level}"
        case WaiverResult():
            return f"{act.person} waives {act.claim}"
        case RevocationResult():
            return f"{act.person} revokes {act.revokes[:12]}"
    raise TypeError(f"{type(act).__name__} is no act")
