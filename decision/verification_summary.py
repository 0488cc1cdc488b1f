"""The decision as a SLSA Verification Summary Attestation (https://slsa.dev/verification_summary/v1). Pure.

It knows two results only: PASSED stands for GO alone. The word itself, and everything that a reader who knows gonogo
can use, stands in the extension field ``gonogo``.
"""

from typing import Any

from decision.decide import Decision
from decision.levels import levels_up_to
from evidence.record import Subject
from evidence.statement import STATEMENT_TYPE, statement_subject

PREDICATE_TYPE = "https://slsa.dev/verification_summary/v1"


def verification_summary(decision: Decision, subject: Subject, version: str) -> dict[str, Any]:
    """The statement, to be signed. ``version`` is that of gonogo."""
    reached = levels_up_to(decision.authorized_level) if decision.authorized_level else ()
    used = sorted({claim.record_id for claim in decision.claims if claim.record_id})
    return {
        "_type": STATEMENT_TYPE,
        "subject": [statement_subject(subject)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "verifier": {"id": "urn:gonogo:verifier", "version": {"gonogo": version}},
            "timeVerified": f"{decision.decided_at:%Y-%m-%dT%H:%M:%SZ}",
            "resourceUri": f"pkg:generic/{subject.name}@{subject.version}",
            "policy": {"uri": f"urn:gonogo:plan:{decision.release}", "digest": {"sha256": decision.plan_digest}},
            "inputAttestations": [{"digest": {"sha256": record_id}} for record_id in used],
            "verificationResult": "PASSED" if decision.decision == "GO" else "FAILED",
            "verifiedLevels": [f"GONOGO_{level.upper().replace('-', '_')}" for level in reached],
            "slsaVersion": "1.1",
            "gonogo": {"decision": decision.decision, "requestedLevel": decision.requested_level},
        },
    }
