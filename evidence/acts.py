"""What people sign: approvals and refusals, waivers, revocations."""

from typing import Literal

from evidence.moment import Moment
from evidence.results import Result


class Act(Result):
    """What a person signs with a key of their own. ``public_key`` is that key, as OpenSSH writes it.

    The signature shows that the holder of the key said so; whether the key may speak for the role is decided by the
    allowed signers of the plan, whenever the act is used.
    """

    role: str
    person: str
    reason: str
    public_key: str


class ApprovalResult(Act):
    """A person's word on one level: over ``root``, the hash of plan, policy, evidence and waivers that they saw.

    ``evidence`` maps the claims that the level needs to their record ids (empty: there was none), ``waivers`` those
    that were waived to the waiver's record id: what makes up the root beside plan and policy.
    """

    level: Literal["rehearsal", "canary", "ab-test", "full"]
    word: Literal["approve", "refuse"]
    not_before: Moment
    not_after: Moment
    root: str
    plan_digest: str
    policy: str
    evidence: dict[str, str]
    waivers: dict[str, str]


class WaiverResult(Act):
    """An exception to one claim: who sees to it that it ends, why it is made, and when it ends.

    ``claim_digest`` (sha256 in hex) is that of the claim as the plan stated it, ``verdict`` what it was when it was
    waived: an exception to something else, or to something worse, was not made.
    """

    claim: str
    claim_digest: str
    verdict: Literal["REFUTED", "NOT PROVEN"]
    owner: str
    expires_at: Moment


class RevocationResult(Act):
    """The end of an approval or waiver before its time."""

    revokes: str
