"""The view: everything that any form of the report shows, derived from plan, decision and evidence. Pure."""

from collections.abc import Sequence

from decision.decide import Decision, measurements
from decision.plan_file import PlanFile
from evidence.record import Record
from reports.formats import plural
from reports.part import Part
from reports.run_facts import RunFacts
from reports.sections.authorization import AuthorizationPart, authorization_part, is_go
from reports.sections.claim_lines import ClaimLine, claim_lines
from reports.sections.evidence import EvidencePart, Fact, evidence_part
from reports.sections.groups import AchievementsPart, achievements
from reports.sections.header import HeaderPart, header_part
from reports.sections.next_steps import NextStepsPart, next_steps
from reports.sections.previous_report import PreviousReportPart, previous_report_part
from reports.sections.risks import RisksPart, risks_part
from reports.sections.summary import SummaryPart, summary_part
from reports.sections.trends import TrendsPart, trends_part


class ClosingPart(Part):
    """The last block."""

    title: str
    status: str
    lines: tuple[str, ...]


class ReportView(Part):
    """The whole report, in the order of its sections; ``previous_report`` is None when the plan names none."""

    exit_code: int
    header: HeaderPart
    summary: SummaryPart
    achievements: tuple[AchievementsPart, ...]
    risks: RisksPart
    authorization: AuthorizationPart
    next_steps: NextStepsPart
    previous_report: PreviousReportPart | None
    trends: TrendsPart
    evidence: EvidencePart
    closing: ClosingPart


def build_view(
    plan_file: PlanFile, decision: Decision, records: Sequence[Record], run: RunFacts, earlier: Sequence[Record] = ()
) -> ReportView:
    """The view of one decision. ``records`` are all verified records of the subject, used or not; ``earlier`` are of
    subjects before it, for the trends alone."""
    plan = plan_file.plan
    claims = {claim.id: claim for claim in claim_lines(plan, decision, records)}
    by_id = {record.record_id: record for record in records}
    return ReportView(
        exit_code=decision.exit_code,
        header=header_part(plan, decision, records, run),
        summary=summary_part(plan, decision, claims, by_id),
        achievements=achievements(plan.achievements, claims, by_id),
        risks=risks_part(decision, claims),
        authorization=authorization_part(plan, decision, claims),
        next_steps=next_steps(plan, decision, records),
        previous_report=previous_report_part(plan.previous_report, claims) if plan.previous_report else None,
        trends=trends_part(plan, measurements(plan, records), measurements(plan, earlier)),
        evidence=evidence_part(plan, decision, claims, records, run),
        closing=_closing(decision, list(claims.values())),
    )


def _closing(decision: Decision, claims: Sequence[ClaimLine]) -> ClosingPart:
    level = decision.requested_level
    state = "COMPLETE" if is_go(decision) else "FAILED" if decision.decision == "NO-GO" else "NOT COMPLETE"
    required = [claim for claim in claims if claim.required]
    proven = sum(claim.verdict == "PROVEN" for claim in required)
    total = sum(claim.verdict == "PROVEN" for claim in claims)
    return ClosingPart(
        title=f"VALIDATION {state} FOR LEVEL {level.upper()}",
        status=f"{decision.decision} FOR {level.upper()} (exit code {decision.exit_code})",
        lines=(
            f"{proven} of {plural(len(required), 'claim')} required for {level} proven; "
            f"{total} of {plural(len(claims), 'claim')} of the whole plan.",
            f"Level reached: {decision.authorized_level or 'none'}. Level asked: {level}.",
            f"{plural(len(decision.approvals_missing), 'signature')} of the whole plan missing.",
        ),
    )


__all__ = ["Fact", "ReportView", "RunFacts", "build_view"]
