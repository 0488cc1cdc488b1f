import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from evidence.measurement import LeftOut
from reports.render import render_json, render_text
from tests.unit.reports.conftest import PLAN_YAML, Case

SECTIONS = [
    "EXECUTIVE SUMMARY", "KEY ACHIEVEMENTS", "RISK ASSESSMENT", "DEPLOYMENT AUTHORIZATION", "NEXT STEPS",
    "WHAT THE PREVIOUS REPORT SAID", "TRENDS ACROSS RELEASES", "EVIDENCE",
]  # fmt: skip
HOSTILE = [
    "<script>alert(1)</script>", "\x1b[2J\x1b[31mGO\x1b[0m", "ok\n✓ FAKE: PROVEN\r\n", "\u202egnp.OG\u202c", "x" * 9999,
    "a\u0000b\x9b31m", "日本語" * 200, "{{ 7 * 7 }} {% raw %}", "]]>&lt;\"'", "\u2028✓ line\u2029",
]  # fmt: skip


def with_hostile_texts(case: Case, text: str) -> Case:
    return case.changed(
        "engine-tests", outcome="errored", summary=text, left_out=(LeftOut(text, 1, text),), tools={text: text},
        parameters={text: text}, result={"not_passed": [text], "problems": [text]},
    ).changed("interactions", result={"dataset": text}).changed(
        "rehearsal", result={"why": text, "router": text}
    )  # fmt: skip


def test_sections_and_rules_are_those_of_the_source_report_in_its_order(good: Case) -> None:
    lines = render_text(good.view()).splitlines()
    rule = "=" * 80
    titles = [lines[i + 1] for i, line in enumerate(lines[:-2]) if line == rule and lines[i + 2] == rule]
    assert titles == [*SECTIONS, "VALIDATION COMPLETE FOR LEVEL REHEARSAL"]
    assert lines[0] == rule
    assert lines[1].strip() == "PHASE 4 DEPLOYMENT AUTHORIZATION"
    assert lines[2].strip() == "Status Report"


@pytest.mark.parametrize(
    ("name", "level", "word"),
    [("good", "rehearsal", "GO"), ("good", "canary", "HOLD"), ("bad", "rehearsal", "NO-GO"), ("none", "full", "HOLD")],
)
def test_the_decision_word_stands_in_status_authorization_and_end(
    good: Case, bad: Case, name: str, level: Any, word: str
) -> None:
    case = {"good": good, "bad": bad, "none": Case(good.plan_file, ())}[name]
    text = render_text(case.view(level))
    mark = {"GO": "✓", "HOLD": "…", "NO-GO": "✗"}[word]
    assert f"STATUS: {mark} {word} at level {level}\n" in text
    assert f"AUTHORIZATION STATUS: {mark} {word} FOR {level.upper()}\n" in text
    assert re.search(rf"Status: {mark} {word} FOR {level.upper()} \(exit code \d+\)\n", text)
    assert ("✓ GO" in text) == (word == "GO")


def test_every_claim_id_and_every_record_appears(good: Case) -> None:
    text = render_text(good.view())
    assert all(f" {claim.id}: " in text for claim in good.plan_file.plan.claims)
    assert all(record.record_id in text for record in good.records)


def test_the_refuted_claims_come_before_the_groups(bad: Case) -> None:
    text = render_text(bad.view())
    assert text.index("Refuted:") < text.index("groups of claims proven")
    assert "✗ REFUTED Interaction data is sound" in text[: text.index("groups of claims proven")]


def test_a_past_deployment_is_said_to_be_past(case_of: Callable[..., Case]) -> None:
    text = render_text(case_of(PLAN_YAML.replace("deploy: 2026-03-05T14:00Z", "deploy: 2025-10-22T14:00Z")).view())
    assert "DEPLOYMENT SCHEDULED: 2025-10-22 14:00 UTC (passed 131d 2h ago)" in text
    assert "The plan's deployment date is past" in text


def test_a_statement_of_the_previous_report_is_quoted_and_answered(good: Case) -> None:
    assert """\
  70-72: 72-hour test completed, VERIFIED
    … NOT PROVEN: foundation (PROVEN), memory-72h
  6, 89: Report date: 16:00 UTC
    = DERIVED: AUTHORIZATION DATE: the decision's own time
""" in render_text(good.view())


def test_the_text_says_how_to_verify_it(good: Case) -> None:
    text = render_text(good.view())
    assert "gonogo verify --ledger --home .gonogo" in text
    assert "gonogo evidence show ID --home .gonogo" in text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_evidence_neither_breaks_lines_nor_reaches_the_terminal(good: Case, hostile: str) -> None:
    assert_harmless(render_text(with_hostile_texts(good, hostile).view()))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_plan_texts_neither_break_lines_nor_reach_the_terminal(
    case_of: Callable[..., Case], hostile: str
) -> None:
    plan = PLAN_YAML.replace("title: Phase 4\n", f"title: {json.dumps(hostile)}\n")
    plan = plan.replace("says: Phase 1-3 foundation", f"says: {json.dumps(hostile)}")
    plan = plan.replace("mitigation: 72-hour test", f"mitigation: {json.dumps(hostile)}")
    plan = plan.replace("says: Team training, dropped: needs attendance signed by each person",
                        f"says: {json.dumps(hostile)}, dropped: {json.dumps('x' + hostile)}")  # fmt: skip
    assert_harmless(render_text(case_of(plan).view()))


def assert_harmless(text: str) -> None:
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", text)
    assert "\n✓ FAKE" not in text
    assert len(text.splitlines()) < 900


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_no_line_is_wider_than_80_columns_whatever_evidence_says(good: Case, hostile: str) -> None:
    assert_harmless(render_text(with_hostile_texts(good, hostile).view()))


def test_json_is_stable_ascii_and_holds_every_claim(good: Case) -> None:
    first, second = render_json(good.view()), render_json(good.view())
    assert first == second
    assert first.isascii()
    assert {c["id"] for c in json.loads(first)["evidence"]["claims"]} == {c.id for c in good.plan_file.plan.claims}
