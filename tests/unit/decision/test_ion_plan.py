"""The bundled plan accounts for every statement of the report that it replaces."""

from collections import Counter
from pathlib import Path

from decision.collect import is_lived
from decision.plan_file import read_plan
from decision.previous_report import PreviousReport

_PLAN = Path(__file__).resolve().parents[3] / "releases" / "ion-phase4" / "plan.yaml"

CONTENT_LINES = {
    2, 3, 6, 7, 8, 10, 16, 18, 19, 21, 22, 23, 24, 25, 26, 28, 29, 30, 37, 38, 39, 40, 41, 44, 45, 46, 47, 50, 51,
    52, 53, 59, 62, 63, 64, 66, 67, 68, 70, 71, 72, 74, 75, 76, 79, 80, 81, 82, 88, 89, 90, 92, 94, 95, 96, 97, 99,
    106, 107, 108, 111, 112, 113, 116, 117, 118, 121, 122, 123, 126, 129, 131, 132, 133, 135,
}  # fmt: skip
"""The lines of the source report that assert or plan something; the others are rules, headings and blank."""


def ion_report() -> PreviousReport:
    report = read_plan(_PLAN).plan.previous_report
    assert report is not None
    return report


def lines_of(text: str) -> list[int]:
    """``6, 89`` and ``62-64`` as single lines."""
    ranges = [part.partition("-") for part in text.split(", ")]
    return [line for first, _, last in ranges for line in range(int(first), int(last or first) + 1)]


def test_every_content_line_of_the_source_report_is_accounted_for_exactly_once() -> None:
    covered = Counter(line for statement in ion_report().statements for line in lines_of(statement.lines))
    assert set(covered) == CONTENT_LINES
    assert [line for line, times in covered.items() if times != 1] == []


def test_what_is_said_in_the_future_or_of_people_is_no_claim() -> None:
    dropped = {line for statement in ion_report().statements if statement.dropped for line in lines_of(statement.lines)}
    assert {107, 108, 111, 133} <= dropped


def test_what_only_production_can_show_gates_the_levels_after_it_and_no_rehearsal() -> None:
    plan = read_plan(_PLAN).plan
    lived = {name for name, collect in plan.collect.items() if is_lived(collect)}
    assert {claim.id: claim.gates for claim in plan.claims if claim.needs in lived} == {
        "canary-7d": ("ab-test", "full"),
        "ab-14d": ("full",),
        "ab-better": ("full",),
    }


def test_a_risk_whose_mitigation_nothing_measures_lowers_nothing() -> None:
    unproven = [risk for risk in read_plan(_PLAN).plan.risks if not risk.proven_by]
    assert len(unproven) == 7
    assert {risk.inherent for risk in unproven} == {"HIGH"}
