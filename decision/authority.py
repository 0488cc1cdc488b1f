"""Whether what a person signed counts: may this key speak for this role, and did its holder not collect. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from decision.plan import Plan
from evidence.acts import Act, RevocationResult
from evidence.allowed_signers import Signer
from evidence.dsse import key_id
from evidence.keys import public_text
from evidence.record import Record

Signers = Mapping[str, Sequence[Signer]]
"""The allowed signers of each role of the plan."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clocks of two machines may differ."""


@dataclass(frozen=True)
class Authority:
    """Who may sign, at the time ``now`` (aware), and who collected: ids of their keys."""

    plan: Plan
    signers: Signers
    collected_with: frozenset[str]
    revoked: Mapping[str, Record]
    now: datetime

    def objection(self, record: Record, roles: Collection[str], *, restrains: bool = False) -> str | None:
        """Why an act does not count for any of ``roles``; None when it does.

        What ``restrains`` a release (a refusal, a revocation) needs a key that was allowed when it signed: that a key
        retires must not let a release go ahead.
        """
        act = record.result
        assert isinstance(act, Act)
        if act.role not in roles:
            return f"the role {act.role} is not asked"
        person = self.plan.people[act.role]
        if person.machine:
            return f"{person.name} is a machine and never counts"
        if not self._may_sign(act, record.finished_at, still=not restrains):
            return f"the key that signed it is not allowed for {act.role}"
        if record.finished_at > self.now + CLOCK_SKEW:
            return f"signed in the future, at {record.finished_at:%Y-%m-%d %H:%M} UTC"
        if not restrains and record.record_id in self.revoked:
            revocation = self.revoked[record.record_id].result
            assert isinstance(revocation, RevocationResult)
            name = self.plan.people[revocation.role].name
            return f"revoked by {name} ({revocation.role}): {revocation.reason}"
        if record.signed_by in self.collected_with or person.name in self._collectors():
            return f"{person.name} collected the evidence, and whoever collects does not sign"
        return None

    def _may_sign(self, act: Act, at: datetime, *, still: bool) -> bool:
        """Whether the key might sign then, and (``still``) may now: the time of signing is the signer's own word."""
        return any(
            public_text(signer.key) == act.public_key
            and signer.valid_at(at)
            and (not still or signer.valid_at(self.now))
            for signer in self.signers.get(act.role, ())
        )

    def _collectors(self) -> set[str]:
        """The people one of whose keys signed measurements."""
        return {
            self.plan.people[role].name
            for role, signers in self.signers.items()
            if any(key_id(signer.key) in self.collected_with for signer in signers)
        }


def authority_of(plan: Plan, signers: Signers, records: Sequence[Record], now: datetime) -> Authority:
    """The authority at one time. ``records`` are all records of the subject, acts among them.

    Only what lets a release go ahead can be revoked: ``objection`` does not look at the revocation of a refusal.
    """
    collected_with = frozenset(r.signed_by for r in records if not isinstance(r.result, Act))
    nobody_revoked = Authority(plan, signers, frozenset(), {}, now)
    revoked = {
        record.result.revokes: record
        for record in records
        if isinstance(record.result, RevocationResult)
        and nobody_revoked.objection(record, plan.people, restrains=True) is None
    }
    return Authority(plan, signers, collected_with, revoked, now)
