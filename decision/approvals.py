"""Approvals: who signed which level, over which root, and what changed since. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from decision.authority import Authority
from decision.claims import ClaimVerdict
from decision.levels import LEVELS, Level, levels_up_to
from decision.plan import ApprovalRule
from decision.waivers import WaiverState
from evidence.dsse import json_sha256
from evidence.record import Record
from evidence.results import ApprovalResult

POLICY = "gonogo/1"
"""The version of the rules by which evidence becomes a decision. It changes with every change of them."""

ApprovalStatus = Literal["signed", "refused", "void", "superseded", "expired", "not yet"]


class Root(BaseModel):
    """What an approval of a level is over. ``digest`` (hex) is the sha256 of all the rest as RFC 8785 JSON."""

    model_config = ConfigDict(frozen=True)

    level: Level
    digest: str
    subject: str
    plan_digest: str
    policy: str
    evidence: dict[str, str]
    waivers: dict[str, str]


class ApprovalState(BaseModel):
    """An approval or refusal as it stands now. ``changed`` says what differs from what was signed."""

    model_config = ConfigDict(frozen=True)

    level: Level
    role: str
    person: str
    word: Literal["approve", "refuse"]
    status: ApprovalStatus
    why: str
    reason: str
    changed: tuple[str, ...]
    signed_at: datetime
    not_before: datetime
    not_after: datetime
    root: str
    public_key: str
    record_id: str


class ApprovalNeeded(BaseModel):
    """A signature that a level needs and that is not there: of one of ``person`` in one of ``role``."""

    model_config = ConfigDict(frozen=True)

    level: Level
    role: str
    person: str


def root_of(
    level: Level, subject: str, plan_digest: str, claims: Sequence[ClaimVerdict], waivers: Sequence[WaiverState]
) -> Root:
    """The approval root of one level: everything that its decision rests on."""
    needed = {claim.id: claim.record_id or "" for claim in claims if set(claim.gates) & set(levels_up_to(level))}
    content: dict[str, object] = {
        "level": level,
        "subject": subject,
        "plan_digest": plan_digest,
        "policy": POLICY,
        "evidence": needed,
        "waivers": {w.claim: w.record_id for w in waivers if w.status == "in force" and w.claim in needed},
    }
    return Root.model_validate(content | {"digest": json_sha256(content)})


def root_digest(root: Root) -> str:
    """The digest (hex) that a root should have."""
    return json_sha256(root.model_dump(mode="json", exclude={"digest"}))


def judge_approvals(
    records: Sequence[Record], roots: Mapping[Level, Root], authority: Authority
) -> tuple[ApprovalState, ...]:
    """Every approval and refusal of the subject as it stands, oldest first."""
    acts = sorted(
        (r for r in records if isinstance(r.result, ApprovalResult)), key=lambda r: (r.finished_at, r.sequence)
    )
    return tuple(_judge(record, acts[index + 1 :], roots, authority) for index, record in enumerate(acts))


def missing_approvals(
    rules: Mapping[Level, Sequence[ApprovalRule]], approvals: Sequence[ApprovalState], authority: Authority
) -> tuple[ApprovalNeeded, ...]:
    """The signatures still needed. A person, and a key, counts once for a level."""
    missing: list[ApprovalNeeded] = []
    for level in LEVELS:
        open_states = [a for a in approvals if a.level == level and a.status == "signed"]
        # The rule with the fewest roles chooses first, so that nobody is spent where others could have signed.
        for rule in sorted(rules.get(level, ()), key=lambda rule: len(rule.roles)):
            signed = _take(open_states, rule)
            names = {authority.plan.people[role].name for role in rule.roles} - {a.person for a in signed}
            missing += [
                ApprovalNeeded(level=level, role=" or ".join(rule.roles), person=" or ".join(sorted(names)))
            ] * (rule.quorum - len(signed))
    return tuple(missing)


def _take(states: list[ApprovalState], rule: ApprovalRule) -> list[ApprovalState]:
    """Take the signatures that fulfil a rule out of ``states``, with all others of the same people and keys."""
    taken: list[ApprovalState] = []
    for state in list(states):
        if len(taken) < rule.quorum and state in states and state.role in rule.roles:
            taken.append(state)
            states[:] = [s for s in states if s.person != state.person and s.public_key != state.public_key]
    return taken


def _judge(record: Record, later: Sequence[Record], roots: Mapping[Level, Root], authority: Authority) -> ApprovalState:
    act = record.result
    assert isinstance(act, ApprovalResult)
    level: Level = next(level for level in LEVELS if level == act.level)
    rule = next((r for r in authority.plan.approvals.get(level, ()) if act.role in r.roles), None)
    not_after = min(act.not_after, record.finished_at + timedelta(seconds=rule.valid)) if rule else act.not_after
    changed = tuple(_changes(act, roots[level]))
    status: ApprovalStatus = "void"
    if rule is None:
        why = f"the plan asks no {act.role} for level {level}"
    elif (objection := authority.objection(record, rule.roles)) is not None:
        why = objection
    elif any(_supersedes(newer, act, rule, authority) for newer in later):
        status, why = "superseded", "the same person signed again later"
    elif act.root != roots[level].digest:
        why = f"changed since it was signed: {'; '.join(changed) or 'what its root covers'}"
    elif authority.now < act.not_before:
        status, why = "not yet", f"counts from {act.not_before:%Y-%m-%d %H:%M} UTC"
    elif authority.now >= not_after:
        status, why = "expired", f"counted until {not_after:%Y-%m-%d %H:%M} UTC"
    else:
        status, why = ("signed", "") if act.word == "approve" else ("refused", act.reason)
    return ApprovalState(
        level=level,
        role=act.role,
        person=authority.plan.people[act.role].name if act.role in authority.plan.people else act.person,
        word=act.word,
        status=status,
        why=why,
        reason=act.reason,
        changed=changed,
        signed_at=record.finished_at,
        not_before=act.not_before,
        not_after=not_after,
        root=act.root,
        public_key=act.public_key,
        record_id=record.record_id,
    )


def _supersedes(newer: Record, act: ApprovalResult, rule: ApprovalRule, authority: Authority) -> bool:
    """Whether a later act of the same role takes the place of one: only if it may speak for the role itself."""
    later = newer.result
    return (
        isinstance(later, ApprovalResult)
        and (later.level, later.role) == (act.level, act.role)
        and authority.objection(newer, rule.roles) is None
    )


def _changes(act: ApprovalResult, root: Root) -> Iterator[str]:
    """What differs between what was signed and what is there now."""
    if act.plan_digest != root.plan_digest:
        yield f"the plan ({act.plan_digest[:12]} then, {root.plan_digest[:12]} now)"
    if act.policy != root.policy:
        yield f"the policy ({act.policy} then, {root.policy} now)"
    yield from _differences("the evidence for", act.evidence, root.evidence)
    yield from _differences("the waiver of", act.waivers, root.waivers)


def _differences(what: str, then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for claim in sorted(then.keys() | now.keys()):
        before, after = then.get(claim, ""), now.get(claim, "")
        if before != after:
            yield f"{what} {claim} ({before[:12] or 'none'} then, {after[:12] or 'none'} now)"
