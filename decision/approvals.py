"""Approvals: who signed which level, over which root, and what changed since. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from decision.authority import Authority
from decision.claims import ClaimVerdict
from decision.levels import LEVELS, Level, levels_up_to
from decision.plan_parts import ApprovalRule
from decision.waivers import WaiverState
from evidence.acts import ApprovalResult
from evidence.dsse import json_sha256
from evidence.record import Record

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
        places = [rule for rule in rules.get(level, ()) for _ in range(rule.quorum)]
        signed = [a for a in approvals if a.level == level and a.status == "signed"]
        taken = _assign(places, signed)
        present = {state.person for state in taken.values()}
        missing += [
            ApprovalNeeded(
                level=level,
                role=" or ".join(rule.roles),
                person=" or ".join(sorted({authority.plan.people[role].name for role in rule.roles} - present)),
            )
            for place, rule in enumerate(places)
            if place not in taken
        ]
    return tuple(missing)


def _assign(places: Sequence[ApprovalRule], signed: Sequence[ApprovalState]) -> dict[int, ApprovalState]:
    """Fill as many places as can be with signatures of different people and keys (augmenting paths, Kuhn 1955)."""
    people = list(_by_person(signed))
    place_of: dict[int, int] = {}

    def fill(place: int, tried: set[int]) -> bool:
        for index, states in enumerate(people):
            if index in tried or not any(state.role in places[place].roles for state in states):
                continue
            tried.add(index)
            if index not in place_of or fill(place_of[index], tried):
                place_of[index] = place
                return True
        return False

    for place in range(len(places)):
        fill(place, set())
    return {
        place: next(state for state in people[index] if state.role in places[place].roles)
        for index, place in place_of.items()
    }


def _by_person(signed: Sequence[ApprovalState]) -> Iterator[list[ApprovalState]]:
    """The signatures in groups that share, directly or by way of another, a name or a key."""
    groups: list[list[ApprovalState]] = []
    for state in signed:
        same = [g for g in groups if any(s.person == state.person or s.public_key == state.public_key for s in g)]
        groups = [g for g in groups if g not in same]
        groups.append([*(s for group in same for s in group), state])
    yield from groups


def _judge(record: Record, later: Sequence[Record], roots: Mapping[Level, Root], authority: Authority) -> ApprovalState:
    act = record.result
    assert isinstance(act, ApprovalResult)
    rules = [rule for rule in authority.plan.approvals.get(act.level, ()) if act.role in rule.roles]
    valid_s = min((rule.valid for rule in rules), default=0.0)  # the strictest of all that could count it
    not_after = min(act.not_after, record.finished_at + timedelta(seconds=valid_s))
    changed = tuple(_changes(act, roots[act.level]))
    refuses = act.word == "refuse"
    status: ApprovalStatus = "void"
    if not rules:
        why = f"the plan asks no {act.role} for level {act.level}"
    elif (objection := authority.objection(record, (act.role,), restrains=refuses)) is not None:
        why = objection
    elif any(_supersedes(newer, act, authority) for newer in later):
        status, why = "superseded", "the same role signed again later"
    elif act.root != roots[act.level].digest:
        why = f"changed since it was signed: {'; '.join(changed) or 'what its root covers'}"
    elif refuses:
        status, why = "refused", act.reason
    elif authority.now < act.not_before:
        status, why = "not yet", f"counts from {act.not_before:%Y-%m-%d %H:%M} UTC"
    elif authority.now >= not_after:
        status, why = "expired", f"counted until {not_after:%Y-%m-%d %H:%M} UTC"
    else:
        status, why = "signed", ""
    return ApprovalState(
        level=act.level,
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


def _supersedes(newer: Record, act: ApprovalResult, authority: Authority) -> bool:
    """Whether a later word of the same role takes the place of one.

    A refusal gives way only to an approval that counts in full; an approval gives way to any later word that its role
    really said, and stays so when that word is revoked or its key retires.
    """
    later = newer.result
    return (
        isinstance(later, ApprovalResult)
        and (later.level, later.role) == (act.level, act.role)
        and authority.objection(newer, (act.role,), restrains=act.word == "approve" or later.word == "refuse") is None
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
