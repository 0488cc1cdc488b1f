"""The executive summary."""

from collections.abc import Mapping, Sequence

from decision.confidence import RULE
from decision.decide import Decision
from decision.levels import LEVELS
from decision.plan import Plan
from evidence.record import Record
from reports.formats import plural
from reports.part import Part
from reports.sections.authorization import is_go
from reports.sections.claim_lines import ClaimLine
from reports.sections.groups import GroupLine, group_line


class SummaryPart(Part):
    """The section. ``refuted`` are the claims that make it NO-GO, and come first."""

    status: str
    refuted: tuple[ClaimLine, ...]
    invalid_records: tuple[str, ...]
    groups_title: str
    groups: tuple[GroupLine, ...]
    confidence: str
    confidence_rule: str
    weakest: str
    bounds: tuple[str, ...]
    risk: str
    recommendation: str
    because: str


def summary_part(
    plan: Plan, decision: Decision, claims: Mapping[str, ClaimLine], records: Mapping[str, Record]
) -> SummaryPart:
    """The section."""
    confidence = decision.confidence
    groups = tuple(group_line(group, claims, records) for group in plan.summary)
    proven = sum(group.verdict == "PROVEN" for group in groups)
    return SummaryPart(
        status=f"{decision.decision} at level {decision.requested_level}",
        refuted=tuple(claim for claim in claims.values() if claim.required and claim.verdict == "REFUTED"),
        invalid_records=decision.invalid_records,
        groups_title=f"{proven} of {len(groups)} groups of claims proven",
        groups=groups,
        confidence=(
            f"{confidence.proven} of {plural(confidence.required, 'claim')} required for"
            f" {decision.requested_level} proven"
        ),
        confidence_rule=RULE,
        weakest=_weakest(confidence.weakest, claims),
        bounds=tuple(bound.text for bound in confidence.bounds),
        risk=decision.risk,
        recommendation=_recommendation(decision),
        because=_because(decision, list(claims.values())),
    )


def _weakest(says: str | None, claims: Mapping[str, ClaimLine]) -> str:
    line = next((claim for claim in claims.values() if claim.required and claim.says == says), None)
    return f"{line.says} ({line.verdict})" if line else "none: no claim is required"


def _recommendation(decision: Decision) -> str:
    if not is_go(decision):
        return "DO NOT PROCEED" if decision.decision == "NO-GO" else "HOLD"
    level = decision.requested_level
    return f"PROCEED WITH {level.upper()}{'' if level == LEVELS[-1] else ' ONLY'}"


def _because(decision: Decision, claims: Sequence[ClaimLine]) -> str:
    level = decision.requested_level
    required = [claim for claim in claims if claim.required]
    if is_go(decision):
        waived = sum(claim.verdict == "WAIVED" for claim in required)
        held = f"; {plural(waived, 'claim')} waived" if waived else ""
        return f"what {level} requires is there{held}" + (
            "" if level == LEVELS[-1] else f"; not decided beyond {level}"
        )
    refuted = sum(claim.verdict == "REFUTED" for claim in required)
    unproven = sum(claim.verdict == "NOT PROVEN" for claim in required)
    refusals = sum(a.status == "refused" and LEVELS.index(a.level) <= LEVELS.index(level) for a in decision.approvals)
    signatures = sum(LEVELS.index(a.level) <= LEVELS.index(level) for a in decision.approvals_missing)
    reasons = [
        *([f"{plural(len(decision.invalid_records), 'record')} did not verify"] if decision.invalid_records else []),
        *([f"{plural(refuted, 'claim')} refuted"] if refuted else []),
        *([f"{plural(refusals, 'person')} refused".replace("persons", "people")] if refusals else []),
        *([f"{plural(unproven, 'claim')} not proven"] if unproven else []),
        *([f"{plural(signatures, 'signature')} missing"] if signatures else []),
    ]
    return ", ".join(reasons)
