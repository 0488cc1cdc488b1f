"""The risks with the evidence that their mitigations work, and the contingencies likewise."""

from collections.abc import Mapping

from decision.claims import Verdict
from decision.decide import Decision
from decision.risk import RULE, RiskVerdict
from reports.formats import plural
from reports.part import Part
from reports.sections.claim_lines import MARKS, ClaimLine


class RiskLine(Part):
    """One risk or contingency; ``level`` is what remains of the risk by what is proven."""

    says: str
    mitigation: str
    verdict: Verdict
    mark: str
    inherent: str
    level: str
    status: str
    claims: tuple[ClaimLine, ...]


class RisksPart(Part):
    """The section: ``overall`` is the highest remaining risk."""

    overall: str
    why: str
    rule: str
    risks: tuple[RiskLine, ...]
    contingencies: tuple[RiskLine, ...]


def risks_part(decision: Decision, claims: Mapping[str, ClaimLine]) -> RisksPart:
    """The section."""
    proven = sum(risk.status == "PROVEN" for risk in decision.risks)
    why = f"{proven} of {plural(len(decision.risks), 'mitigation')} proven; an unproven one lowers nothing"
    return RisksPart(
        overall=decision.risk,
        why=why if decision.risks else "no risk was considered, so it counts as HIGH",
        rule=RULE,
        risks=tuple(_line(risk, claims) for risk in decision.risks),
        contingencies=tuple(_line(contingency, claims) for contingency in decision.contingencies),
    )


def _line(risk: RiskVerdict, claims: Mapping[str, ClaimLine]) -> RiskLine:
    return RiskLine(
        says=risk.says,
        mitigation=risk.mitigation,
        verdict=risk.status,
        mark=MARKS[risk.status],
        inherent=risk.inherent,
        level=risk.level,
        status=risk.status if risk.claims else f"{risk.status}: no claim stands behind it",
        claims=tuple(claims[claim_id] for claim_id in risk.claims),
    )
