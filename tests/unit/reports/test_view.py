from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from decision.levels import LEVELS
from reports.render import render_html, render_text
from reports.view import ReportView
from tests.unit.reports.conftest import NOW, PLAN_YAML, Case, make_records

SOAKED_FOR_72_H = {"hours_under_load": 72.5, "growth_per_day": 0.001, "verdict": "stable"}
SHOWN = {"PROVEN": "✓", "REFUTED": "✗", "NOT PROVEN": "…", "WAIVED": "!"}


def marked(node: Any) -> list[dict[str, Any]]:
    """Every part of a view that shows a mark beside a verdict, at any depth."""
    if isinstance(node, dict):
        own = [node] if "mark" in node and "verdict" in node else []
        return own + [part for value in node.values() for part in marked(value)]
    return [part for value in node for part in marked(value)] if isinstance(node, list | tuple) else []


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["good", "bad", "none"])
def test_only_a_proven_verdict_gets_a_tick(good: Case, bad: Case, name: str, level: Any) -> None:
    case = {"good": good, "bad": bad, "none": Case(good.plan_file, ())}[name]
    parts = marked(case.view(level).model_dump())
    assert len(parts) > 30
    assert all(part["mark"] == SHOWN[part["verdict"]] for part in parts)


def test_a_group_with_one_unproven_claim_is_not_proven(good: Case) -> None:
    groups = {group.says: group for group in good.view().summary.groups}
    assert groups["Risk Mitigation"].verdict == "NOT PROVEN"
    assert groups["Risk Mitigation"].status == "NOT PROVEN (2 of 3 claims proven)"
    assert [claim.id for claim in groups["Risk Mitigation"].open] == ["memory-72h"]
    assert groups["Phase 4 Engines"].verdict == "PROVEN"


def test_every_claim_that_is_not_proven_says_why(bad: Case) -> None:
    claims = bad.view().evidence.claims
    assert {c.verdict for c in claims} == {"PROVEN", "REFUTED", "NOT PROVEN"}
    assert all(bool(claim.why) == (claim.verdict != "PROVEN") for claim in claims)


def test_a_claim_without_evidence_still_shows_its_limits(good: Case) -> None:
    watched = next(c for c in good.without("monitoring").view().evidence.claims if c.id == "watched")
    assert [(c.limit, c.observed, c.holds) for c in watched.criteria] == [
        ("at least 2", "not measured", "undetermined"),
        ("at least 6", "not measured", "undetermined"),
        ("at least 6", "not measured", "undetermined"),
    ]


def test_the_refuted_claims_come_with_the_reason_of_the_no_go(bad: Case) -> None:
    view = bad.view("canary")
    assert view.header.decision == "NO-GO"
    assert [claim.id for claim in view.summary.refuted] == ["engines", "data", "canary-rehearsal"]
    assert view.summary.recommendation == "DO NOT PROCEED"
    assert view.summary.because == "3 claims refuted, 3 claims not proven, 1 signature missing"


def test_an_invalid_record_is_named(good: Case) -> None:
    view = good.view(invalid_records=["f" * 64])
    assert view.summary.invalid_records == ("f" * 64,)
    assert view.summary.recommendation == "DO NOT PROCEED"
    assert all(path.status.startswith("not reached") for path in view.next_steps.levels)


def test_a_report_is_final_only_when_nothing_at_all_is_missing(good: Case, case_of: Callable[..., Case]) -> None:
    assert [good.view(level).header.kind for level in LEVELS] == ["Status Report"] * 4
    unsigned = PLAN_YAML[: PLAN_YAML.index("approvals:")] + PLAN_YAML[PLAN_YAML.index("rollout:\n  stages") :]
    complete = case_of(unsigned).changed("soak", result=SOAKED_FOR_72_H)
    assert complete.view("full").header.kind == "Final Status Report"
    assert complete.view("full").closing.title == "VALIDATION COMPLETE FOR LEVEL FULL"
    assert complete.view("ab-test").header.kind == "Status Report"


def test_evidence_is_told_apart_by_whether_this_run_made_it(good: Case) -> None:
    origins = {card.collector: card.origin for card in good.view().evidence.used}
    assert origins["documents"] == "reused from the ledger"
    assert origins["soak"] == "made in this run"


def test_records_that_no_claim_rests_on_are_listed_apart(good: Case) -> None:
    older = good.changed("load", record_id="ee" * 32, finished_at=NOW - timedelta(hours=9)).records[5]
    view = Case(good.plan_file, (*good.records, older)).view()
    assert [card.record_id for card in view.evidence.unused] == ["ee" * 32]
    assert view.evidence.unused[0].claims == ()


def test_errored_evidence_shows_its_error_and_no_numbers(bad: Case) -> None:
    claim = next(c for c in bad.view().evidence.claims if c.id == "api-fallback")
    assert claim.numbers == "errored: the fault server could not be started"


def test_what_was_left_out_stands_beside_the_numbers(good: Case) -> None:
    foundation = good.view().summary.groups[0]
    assert foundation.numbers == ("418/424 tests passed (98.6 %), 6 skipped, 41 deselected",)
    details = good.view().achievements[0].lines[0].details
    assert details == ("left out: tests of phase 4 (41): deselected by -m 'not phase4'",)


def test_a_risk_without_a_claim_stays_as_it_was(good: Case) -> None:
    risk = good.view().risks.risks[3]
    assert (risk.verdict, risk.level, risk.status) == (
        "NOT PROVEN", "MEDIUM", "NOT PROVEN: no claim stands behind it",
    )  # fmt: skip


def test_the_path_to_go_names_each_step_once_at_its_lowest_level(good: Case) -> None:
    levels = {path.level: path for path in good.view("canary").next_steps.levels}
    assert levels["rehearsal"].status == "reached"
    assert [(step.takes, step.owner) for step in levels["canary"].steps] == [
        ("72 h under load in one run", "GitCode"),
        ("a person's act", "Lubit"),
    ]
    assert levels["ab-test"].status == "not reached: waits for the levels below"


def test_a_step_that_was_measured_before_says_how_long_that_took(bad: Case) -> None:
    steps = {step.claims: step for step in bad.view().next_steps.levels[0].steps}
    assert steps[("engines",)].takes == "8s in its last run"
    assert steps[("watched",)].takes == "time unknown: never measured"


def test_the_window_ends_when_the_first_required_evidence_is_too_old(good: Case) -> None:
    window = good.view().authorization.window
    assert window.startswith("2026-03-02 16:00 UTC to 2026-03-03 11:00 UTC")
    assert window.endswith("the scheduled deployment (2026-03-05 14:00 UTC) lies outside")


def test_what_will_be_stale_at_the_deployment_is_said(good: Case) -> None:
    stale = good.view().next_steps.stale_at_deploy
    assert len(stale) == 7
    assert not any("Documents" in line for line in stale)


@pytest.mark.parametrize(
    ("level", "authorises"),
    [
        ("rehearsal", "a rehearsal without production traffic of ion-mentoring 4.0.0, digest 5c5c5c5c5c5c"),
        ("canary", "nothing at level canary."),
    ],
)
def test_the_decision_covers_one_stage_of_one_digest(good: Case, level: Any, authorises: str) -> None:
    assert good.view(level).authorization.authorises.startswith(authorises)


def test_who_signed_stands_in_the_report_with_how_the_signature_stands(good: Case) -> None:
    assert good.view("canary").authorization.approved_by == "nobody"
    assert good.view().authorization.approved_by == "nobody: up to rehearsal the plan asks for no signature"
    whole = good.changed("soak", result=SOAKED_FOR_72_H)
    signed = whole.signed_by_lubit("canary")
    view = signed.view("canary")
    assert view.authorization.approved_by == "Lubit (approver) for level canary on 2026-03-02 15:59 UTC"
    assert view.authorization.approvals[0].status == "SIGNED"
    assert view.authorization.status == "GO FOR CANARY"
    other = signed.changed("contract", record_id="ee" * 32).view("canary")
    assert other.authorization.approved_by == "nobody"
    assert other.authorization.approvals[0].status == "VOID"
    assert "the evidence for api-contract (0404" in other.authorization.approvals[0].details[0]


def test_the_report_says_what_a_signature_is_over_and_how_to_give_it(good: Case) -> None:
    decision = good.decide("canary")
    root = good.view_of(decision).authorization.roots[0]
    assert (root.level, root.digest) == ("canary", decision.roots["canary"].digest)
    assert root.sign.endswith(f"--level canary --role approver --root {root.digest[:32]} --key FILE")


def test_a_waived_claim_is_listed_and_marked_as_waived(case_of: Callable[..., Case]) -> None:
    plan = PLAN_YAML.replace("rollout:\n  stages", "waivers: {roles: [approver]}\nrollout:\n  stages")
    case = case_of(plan, make_records()).changed("interactions", outcome="failed", result={"failed": 2})
    assert case.view().header.decision == "NO-GO"
    view = case.waived_by_lubit("data").view()
    assert view.authorization.waivers[0].status == "IN FORCE"
    assert (view.header.decision, view.header.mark, view.summary.groups[1].mark) == ("CONDITIONAL GO", "!", "!")
    assert view.summary.because == "what rehearsal requires is there; 1 claim waived; not decided beyond rehearsal"
    assert "IN FORCE: data: waived by Lubit (approver)" in render_text(view)
    assert "waived by Lubit (approver)" in render_html(view)


def test_the_view_survives_json(bad: Case) -> None:
    view = bad.view()
    assert ReportView.model_validate_json(view.model_dump_json()) == view
