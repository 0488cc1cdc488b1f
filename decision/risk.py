"""Risk: the highest residual risk. A mitigation lowers a risk only if its own claims are proven; unknown is HIGH."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from decision.claims import Verdict
from decision.plan_parts import RiskLevel

_ORDER: tuple[RiskLevel, ...] = ("LOW", "MEDIUM", "HIGH")


RULE = (
    "the highest remaining risk; a risk remains as it is until every claim behind its mitigation is proven,"
    " and one that nobody considered is HIGH"
)


class RiskVerdict(BaseModel):
    """A risk (or contingency) with what the evidence says of its mitigation."""

    model_config = ConfigDict(frozen=True)

    says: str
    mitigation: str
    claims: tuple[str, ...]
    status: Verdict
    inherent: RiskLevel
    residual: RiskLevel
    level: RiskLevel


def judge_risks(
    risks: Sequence[tuple[str, str, tuple[str, ...], RiskLevel, RiskLevel]], verdicts: Mapping[str, Verdict]
) -> tuple[RiskVerdict, ...]:
    """Each risk as (says, mitigation, ids of its claims, inherent level, residual level)."""
    judged = []
    for says, mitigation, claims, inherent, residual in risks:
        status = _worst([verdicts[c] for c in claims])
        level = residual if status == "PROVEN" else inherent
        judged.append(
            RiskVerdict(
                says=says,
                mitigation=mitigation,
                claims=claims,
                status=status,
                inherent=inherent,
                residual=residual,
                level=level,
            )
        )
    return tuple(judged)


def overall_risk(risks: Sequence[RiskVerdict]) -> RiskLevel:
    """The highest residual risk; HIGH when no risk was considered at all."""
    return max((r.level for r in risks), key=_ORDER.index, default="HIGH")


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in ("REFUTED", "NOT PROVEN", "WAIVED"):
        if verdict in verdicts:
            return verdict
    return "PROVEN" if verdicts else "NOT PROVEN"
