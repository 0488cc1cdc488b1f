"""The verdict of a claim for every combination of what its evidence can be, held against a table written by hand."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.claims import ClaimVerdict, Wanted, judge_claim
from decision.criteria import Criterion, evaluate
from decision.decide import decide
from decision.plan import Plan
from decision.plan_file import read_plan
from decision.plan_parts import Claim
from evidence.record import Record, Subject
from evidence.soak_result import SoakResult
from tests.unit.decision.acts import SIGNERS, waiver
from tests.unit.decision.factories import NOW, PLAN, SUBJECT, make_record, soak_result, suite_result
from tests.unit.reports.results import results

CLAIM = Claim.model_validate(
    {
        "id": "memory", "says": "It does not leak", "needs": "soak", "max_age": "24h", "gates": ["full"],
        "criteria": {
            "hours_under_load": {"at_least": 72},  # says how much was seen
            "error_rate": {"at_most": "0.5%"},
            "growth_per_day": {"at_most": "5%"},
        },
    }
)  # fmt: skip

VALUES: dict[str, dict[str, Any]] = {
    "all hold": {},
    "one is missed": {"error_rate": 0.02},
    "too little was seen": {"hours_under_load": 1.0},
    "one is unknown": {"growth_per_day": None},
    "missed and too little": {"error_rate": 0.02, "hours_under_load": 1.0},
    "missed and unknown": {"error_rate": 0.02, "growth_per_day": None},
    "too little and unknown": {"hours_under_load": 1.0, "growth_per_day": None},
}

TABLE = {
    # what the criteria say        passed        failed        inconclusive  errored
    "all hold":               ("PROVEN",     "PROVEN",     "NOT PROVEN", "NOT PROVEN"),
    "one is missed":          ("REFUTED",    "REFUTED",    "NOT PROVEN", "NOT PROVEN"),
    "too little was seen":    ("NOT PROVEN", "REFUTED",    "NOT PROVEN", "NOT PROVEN"),
    "one is unknown":         ("NOT PROVEN", "NOT PROVEN", "NOT PROVEN", "NOT PROVEN"),
    "missed and too little":  ("NOT PROVEN", "REFUTED",    "NOT PROVEN", "NOT PROVEN"),
    "missed and unknown":     ("REFUTED",    "REFUTED",    "NOT PROVEN", "NOT PROVEN"),
    "too little and unknown": ("NOT PROVEN", "REFUTED",    "NOT PROVEN", "NOT PROVEN"),
}  # fmt: skip
OUTCOMES = ("passed", "failed", "inconclusive", "errored")

UNUSABLE: dict[str, dict[str, Any]] = {
    "of another subject": {"subject": Subject("shop", "2.0", "dirHash1:" + "b" * 64)},
    "of other inputs": {"inputs": {"data.csv": "sha256:1"}},
    "stale": {"finished_at": NOW - timedelta(hours=25)},
    "from the future": {"finished_at": NOW + timedelta(hours=1)},
}


def record_of(values: dict[str, Any], outcome: str) -> Record:
    return make_record("soak", soak_result(**values), outcome=outcome)


def judge(*records: Record, failure: str | None = None) -> ClaimVerdict:
    return judge_claim(CLAIM, list(records), Wanted(SUBJECT, {}), NOW, failure)


@pytest.mark.parametrize(("values", "outcome"), product(TABLE, OUTCOMES))
def test_the_verdict_is_the_one_of_the_table_and_says_why_it_is_not_proven(values: str, outcome: str) -> None:
    verdict = judge(record_of(VALUES[values], outcome))
    assert verdict.verdict == TABLE[values][OUTCOMES.index(outcome)]
    assert bool(verdict.reasons) == (verdict.verdict != "PROVEN")


@pytest.mark.parametrize(("values", "outcome", "why"), product(TABLE, OUTCOMES, UNUSABLE))
def test_evidence_that_cannot_be_used_proves_and_refutes_nothing(values: str, outcome: str, why: str) -> None:
    assert judge(replace(record_of(VALUES[values], outcome), **UNUSABLE[why])).verdict == "NOT PROVEN"


@pytest.mark.parametrize(("values", "outcome"), product(TABLE, OUTCOMES))
def test_a_failed_attempt_to_measure_leaves_nothing_proven_or_refuted(values: str, outcome: str) -> None:
    assert judge(record_of(VALUES[values], outcome), failure="the disk is full").verdict == "NOT PROVEN"


def test_without_evidence_nothing_is_proven() -> None:
    assert judge().verdict == "NOT PROVEN"


@pytest.mark.parametrize(("values", "outcome"), product(TABLE, OUTCOMES))
def test_a_waiver_changes_every_verdict_but_proven(waivable: Plan, values: str, outcome: str) -> None:
    wanted = {name: Wanted(SUBJECT, {}) for name in waivable.collect}
    more: dict[str, Any] = {"level": "full", "now": NOW, "plan_digest": "0" * 64, "signers": SIGNERS}
    records = [record_of(VALUES[values], outcome)]
    before = decide(waivable, records, wanted, **more).claim("memory").verdict
    after = decide(waivable, [*records, waiver(waivable, "memory")], wanted, **more).claim("memory").verdict
    assert after == ("PROVEN" if before == "PROVEN" else "WAIVED")


@pytest.fixture(scope="module")
def waivable(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path: Path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    path.write_text(PLAN.replace("rollout:\n", "waivers: {roles: [approver]}\nrollout:\n"))
    return read_plan(path).plan


def test_a_count_in_doubt_proves_nothing_even_where_failures_are_tolerated() -> None:
    claim = Claim.model_validate(
        {"id": "works", "says": "It works", "needs": "tests", "max_age": "24h", "criteria": {"failed": {"at_most": 3}}}
    )
    doubtful = suite_result(failed=1, passed=99, problems=["12 tests are declared that no row shows"])
    for result, expected in ((suite_result(failed=1, passed=99), "PROVEN"), (doubtful, "NOT PROVEN")):
        record = make_record("tests", result, outcome="failed")
        assert judge_claim(claim, [record], Wanted(SUBJECT, {}), NOW).verdict == expected


def test_a_load_that_a_broken_limit_ended_refutes_even_where_its_totals_look_good() -> None:
    claim = Claim.model_validate(
        {"id": "fast", "says": "Fast", "needs": "load", "max_age": "24h", "criteria": {"error_rate": {"at_most": "1%"}}}
    )
    load = results()["load"]
    for aborted, expected in ((None, "PROVEN"), ("latency-p95 was 600", "REFUTED")):
        record = make_record("load", load.model_copy(update={"aborted": aborted}), outcome="failed")
        assert judge_claim(claim, [record], Wanted(SUBJECT, {}), NOW).verdict == expected


limits = st.floats(-10, 10)


@given(
    criterion=st.builds(
        lambda parts: Criterion.model_validate(parts),
        st.dictionaries(st.sampled_from(["at_least", "at_most", "equals"]), limits, min_size=1),
    ),
    field=st.sampled_from(["error_rate", "growth_per_day", "coverage", "hours_under_load"]),
    value=st.sampled_from([None, float("nan")]),
)
def test_an_unknown_value_or_nan_never_holds(criterion: Criterion, field: str, value: float | None) -> None:
    result = SoakResult.model_construct(**(dict(soak_result()) | {field: value}))
    assert evaluate(field, criterion, result).holds == "undetermined"


@given(value=st.floats(0, 1), low=st.floats(0, 1), high=st.floats(0, 1), exact=st.floats(0, 1))
def test_all_of_holds_exactly_when_each_of_its_parts_holds(value: float, low: float, high: float, exact: float) -> None:
    parts = [{"at_least": low}, {"at_most": high}, {"within": [min(low, exact), max(low, exact)]}]
    result = soak_result(error_rate=value)
    whole = evaluate("error_rate", Criterion.model_validate({"all_of": parts}), result)
    each = [evaluate("error_rate", Criterion.model_validate(part), result) for part in parts]
    assert (whole.holds == "yes") == all(r.holds == "yes" for r in each)
    assert whole.margin == min(r.margin for r in each if r.margin is not None)
