"""Claims as the report shows them: verdict, mark, measured numbers, limits, and why one is not proven."""

from collections.abc import Iterable, Sequence

from decision.claims import ClaimVerdict, Verdict
from decision.decide import Decision
from decision.levels import LEVELS, Level, levels_up_to
from decision.plan import Plan
from evidence.record import Record
from reports.formats import limit_text, margin_text, minute, short, unit_value
from reports.numbers import numbers_of
from reports.part import Part

MARKS: dict[Verdict, str] = {"PROVEN": "✓", "REFUTED": "✗", "NOT PROVEN": "…", "WAIVED": "!"}
"""Always beside the word."""

_WORST_FIRST: tuple[Verdict, ...] = ("REFUTED", "NOT PROVEN", "WAIVED", "PROVEN")


class CriterionLine(Part):
    """One limit beside what was observed. ``holds`` is a word: yes, no, too-little, undetermined."""

    field: str
    limit: str
    observed: str
    margin: str
    holds: str


class ClaimLine(Part):
    """One claim. ``why`` says why it is not proven; empty for a proven one. ``needed_for`` is its lowest level."""

    id: str
    says: str
    verdict: Verdict
    mark: str
    why: tuple[str, ...]
    numbers: str
    required: bool
    gates: tuple[str, ...]
    needed_for: str
    needs: str
    record_id: str
    evidence: str
    measured_at: str
    valid_until: str
    criteria: tuple[CriterionLine, ...]


def claim_lines(plan: Plan, decision: Decision, records: Sequence[Record]) -> tuple[ClaimLine, ...]:
    """All claims of the plan, in its order."""
    by_id = {record.record_id: record for record in records}
    required = set(levels_up_to(decision.requested_level))
    return tuple(_line(plan, claim, by_id.get(claim.record_id or ""), required) for claim in decision.claims)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of some verdicts; of none NOT PROVEN."""
    return min(verdicts, key=_WORST_FIRST.index, default="NOT PROVEN")


def _line(plan: Plan, claim: ClaimVerdict, record: Record | None, required: set[Level]) -> ClaimLine:
    return ClaimLine(
        id=claim.id,
        says=claim.says,
        verdict=claim.verdict,
        mark=MARKS[claim.verdict],
        why=claim.reasons,
        numbers=numbers_of(record) if record else "no evidence",
        required=bool(required & set(claim.gates)),
        gates=claim.gates,
        needed_for=min(claim.gates, key=LEVELS.index, default="no level"),
        needs=claim.needs,
        record_id=record.record_id if record else "",
        evidence=short(record.record_id) if record else "none",
        measured_at=minute(claim.measured_at) if claim.measured_at else "never",
        valid_until=minute(claim.valid_until) if claim.valid_until else "",
        criteria=tuple(_criteria(plan, claim)),
    )


def _criteria(plan: Plan, claim: ClaimVerdict) -> Iterable[CriterionLine]:
    """Every limit of the claim, with what was observed or that nothing was."""
    results = {result.field: result for result in claim.criteria}
    for field, criterion in plan.claim(claim.id).criteria.items():
        result = results.get(field)
        yield CriterionLine(
            field=field,
            limit=limit_text(field, criterion),
            observed=unit_value(field, result.observed) if result else "not measured",
            margin=margin_text(field, result.margin) if result else "",
            holds=result.holds if result else "undetermined",
        )
