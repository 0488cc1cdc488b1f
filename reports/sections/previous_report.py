"""What an earlier report said, and how what took the place of each statement stands now."""

from collections.abc import Mapping
from typing import Literal

from decision.claims import Verdict
from decision.previous_report import PreviousReport, Statement
from reports.formats import plural
from reports.part import Part
from reports.sections.claim_lines import MARKS, ClaimLine, worst

RULE = "The numbers are its lines. A mark is the verdict of the claims that stand here today, never of its words."

_OTHER_MARKS: dict[Literal["DERIVED", "DROPPED"], str] = {"DERIVED": "=", "DROPPED": "–"}


class ClaimState(Part):
    """A claim in the place of a statement."""

    id: str
    verdict: Verdict
    mark: str


class StatementLine(Part):
    """One statement. ``verdict`` is the worst of its claims; ``became`` names them, what derives it, or why it went."""

    lines: str
    says: str
    verdict: Verdict | Literal["DERIVED", "DROPPED"]
    mark: str
    became: str
    claims: tuple[ClaimState, ...]


class PreviousReportPart(Part):
    """The section."""

    title: str
    summary: str
    rule: str
    statements: tuple[StatementLine, ...]


def previous_report_part(report: PreviousReport, claims: Mapping[str, ClaimLine]) -> PreviousReportPart:
    """The section, in the order of the plan."""
    lines = tuple(_line(statement, claims) for statement in report.statements)
    claimed = [line for line in lines if line.claims]
    proven = sum(line.verdict == "PROVEN" for line in claimed)
    derived, dropped = (sum(line.verdict == word for line in lines) for word in _OTHER_MARKS)
    return PreviousReportPart(
        title=report.title,
        summary=(
            f"{plural(len(lines), 'statement')}: {len(claimed)} became claims ({proven} proven now),"
            f" {derived} derived by this report, {dropped} dropped."
        ),
        rule=RULE,
        statements=lines,
    )


def _line(statement: Statement, claims: Mapping[str, ClaimLine]) -> StatementLine:
    if not statement.claims:
        word: Literal["DERIVED", "DROPPED"] = "DERIVED" if statement.derived else "DROPPED"
        return StatementLine(
            lines=statement.lines,
            says=statement.says,
            verdict=word,
            mark=_OTHER_MARKS[word],
            became=statement.derived or statement.dropped,
            claims=(),
        )
    own = [claims[claim_id] for claim_id in statement.claims]
    verdict = worst(claim.verdict for claim in own)
    return StatementLine(
        lines=statement.lines,
        says=statement.says,
        verdict=verdict,
        mark=MARKS[verdict],
        became=", ".join(c.id if c.verdict == verdict else f"{c.id} ({c.verdict})" for c in own),
        claims=tuple(ClaimState(id=c.id, verdict=c.verdict, mark=c.mark) for c in own),
    )
