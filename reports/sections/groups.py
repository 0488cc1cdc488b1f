"""Headlines with the claims that stand behind them: the lines of the executive summary and of the achievements."""

from collections.abc import Mapping, Sequence

from decision.claims import Verdict
from decision.plan_parts import Achievements, Group
from evidence.record import Record
from evidence.results import DocumentationResult, TestSuiteResult
from reports.formats import count, plural
from reports.part import Part
from reports.sections.claim_lines import MARKS, ClaimLine, worst


class GroupLine(Part):
    """A headline: ``verdict`` is the worst of its claims, ``open`` those that are not proven."""

    says: str
    verdict: Verdict
    mark: str
    proven: int
    status: str
    numbers: tuple[str, ...]
    claims: tuple[str, ...]
    open: tuple[ClaimLine, ...]
    details: tuple[str, ...]


class AchievementsPart(Part):
    """One heading of the achievements."""

    title: str
    lines: tuple[GroupLine, ...]


def group_line(group: Group, claims: Mapping[str, ClaimLine], records: Mapping[str, Record]) -> GroupLine:
    """One headline without details."""
    own = [claims[claim_id] for claim_id in group.claims]
    verdict = worst(claim.verdict for claim in own)
    proven = sum(claim.verdict == "PROVEN" for claim in own)
    return GroupLine(
        says=group.says,
        verdict=verdict,
        mark=MARKS[verdict],
        proven=proven,
        status=verdict if len(own) == 1 else f"{verdict} ({proven} of {plural(len(own), 'claim')} proven)",
        numbers=_numbers([claim for claim in own if claim.record_id in records]),
        claims=group.claims,
        open=tuple(claim for claim in own if claim.verdict != "PROVEN"),
        details=(),
    )


def _numbers(claims: Sequence[ClaimLine]) -> tuple[str, ...]:
    """The numbers of each record once, with its collector where there is more than one."""
    by_collector = {claim.needs: claim.numbers for claim in claims}
    if len(by_collector) == 1:
        return tuple(by_collector.values())
    return tuple(f"{collector}: {numbers}" for collector, numbers in by_collector.items())


def achievements(
    headings: Sequence[Achievements], claims: Mapping[str, ClaimLine], records: Mapping[str, Record]
) -> tuple[AchievementsPart, ...]:
    """The headings of the plan, each line with what its evidence lists: documents, what a suite excluded."""
    return tuple(
        AchievementsPart(
            title=heading.title,
            lines=tuple(
                group_line(group, claims, records).model_copy(update={"details": _details(group, claims, records)})
                for group in heading.lines
            ),
        )
        for heading in headings
    )


def _details(group: Group, claims: Mapping[str, ClaimLine], records: Mapping[str, Record]) -> tuple[str, ...]:
    found: list[str] = []
    for record_id in dict.fromkeys(claims[c].record_id for c in group.claims):
        record = records.get(record_id)
        if record is None:
            continue
        if isinstance(record.result, DocumentationResult):
            for document in record.result.details:
                problems = [
                    *(f"section {section!r} is missing" for section in document.missing_sections),
                    *(f"dead link {link}" for link in document.dead_links),
                    *document.problems,
                ]
                state = "; ".join(problems) or "complete"
                found.append(f"{document.title or document.path}: {plural(document.lines, 'line')}, {state}")
        if isinstance(record.result, TestSuiteResult):
            found += [f"not passed: {name}" for name in record.result.not_passed[:10]]
            found += [f"not passed: {count(more)} more"] if (more := len(record.result.not_passed) - 10) > 0 else []
        found += [f"left out: {x.what} ({count(x.count)}): {x.why}" for x in record.left_out]
    return tuple(found)
