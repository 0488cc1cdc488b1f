from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.claims import Wanted, judge_claim
from decision.decide import Decision, decide, stale_at
from decision.levels import LEVELS, Level
from decision.plan import Plan
from decision.plan_file import read_plan
from evidence.record import Record, Subject
from tests.unit.decision.factories import NOW, PLAN, SUBJECT, documents_result, make_record, soak_result, suite_result

WANTED = {name: Wanted(subject=SUBJECT, inputs={}) for name in ("tests", "documents", "soak")}


def run(plan: Plan, records: Sequence[Record], level: Level = "rehearsal", **more: Any) -> Decision:
    return decide(plan, records, WANTED, level=level, now=NOW, plan_digest="0" * 64, **more)


@pytest.fixture
def good() -> list[Record]:
    return [
        make_record("tests", suite_result()),
        make_record("documents", documents_result()),
        make_record("soak", soak_result()),
    ]


def test_all_claims_proven_and_no_approval_needed_is_go(plan: Plan, good: list[Record]) -> None:
    decision = run(plan, good, "ab-test")
    assert (decision.decision, decision.authorized_level, decision.exit_code) == ("GO", "ab-test", 0)


def test_a_missing_approval_holds_and_names_the_person(plan: Plan, good: list[Record]) -> None:
    decision = run(plan, good, "full")
    assert (decision.decision, decision.exit_code) == ("HOLD", 30)
    assert [a.person for a in decision.approvals_missing] == ["Ada"]


def test_no_evidence_at_all_holds(plan: Plan) -> None:
    decision = run(plan, [])
    assert decision.decision == "HOLD"
    assert decision.authorized_level is None
    assert "never measured" in decision.claims[0].reasons[0]


def test_a_refuted_claim_is_no_go_and_names_its_evidence(plan: Plan, good: list[Record]) -> None:
    failing = make_record("tests", suite_result(passed=99, failed=1, pass_rate=0.99), outcome="failed")
    decision = run(plan, [failing, *good[1:]])
    assert (decision.decision, decision.exit_code) == ("NO-GO", 20)
    assert decision.claim("works").verdict == "REFUTED"
    assert decision.claim("works").record_id == failing.record_id


def test_a_refuted_claim_of_a_higher_level_does_not_stop_a_lower_one(plan: Plan, good: list[Record]) -> None:
    incomplete = make_record("documents", documents_result(complete=0), outcome="failed")
    decision = run(plan, [good[0], incomplete], "rehearsal")
    assert decision.decision == "GO"
    assert run(plan, [good[0], incomplete], "canary").decision == "NO-GO"


def test_evidence_of_another_subject_never_counts(plan: Plan, good: list[Record]) -> None:
    other = replace(good[0], subject=Subject("shop", "2.0", "dirHash1:" + "b" * 64))
    decision = run(plan, [other])
    assert decision.claim("works").verdict == "NOT PROVEN"
    assert "another subject" in decision.claim("works").reasons[0]


def test_evidence_measured_on_other_inputs_never_counts(plan: Plan, good: list[Record]) -> None:
    decision = run(plan, [replace(good[0], inputs={"data.csv": "sha256:1"})])
    assert decision.claim("works").reasons == ("no evidence from tests: changed since it was measured: data.csv",)


def test_stale_evidence_never_counts(plan: Plan, good: list[Record]) -> None:
    decision = run(plan, [replace(good[0], finished_at=NOW - timedelta(hours=25))])
    assert decision.claim("works").verdict == "NOT PROVEN"
    assert "stale" in decision.claim("works").reasons[0]


def test_evidence_from_the_future_never_counts(plan: Plan, good: list[Record]) -> None:
    decision = run(plan, [replace(good[0], finished_at=NOW + timedelta(hours=1))])
    assert decision.claim("works").verdict == "NOT PROVEN"


@pytest.mark.parametrize("outcome", ["inconclusive", "errored"])
def test_inconclusive_and_errored_evidence_proves_nothing(plan: Plan, good: list[Record], outcome: Any) -> None:
    assert run(plan, [replace(good[0], outcome=outcome)]).claim("works").verdict == "NOT PROVEN"


def test_a_failed_attempt_to_measure_outweighs_older_evidence(plan: Plan, good: list[Record]) -> None:
    decision = run(plan, good, failures={"tests": "the runner could not be started"})
    assert decision.claim("works").reasons == ("errored: the runner could not be started",)


def test_a_short_soak_is_not_proven_whatever_its_noise_looks_like(plan: Plan, good: list[Record]) -> None:
    short = soak_result(hours_under_load=0.02, growth_per_day=0.9, verdict="not-proven")
    decision = run(plan, [*good[:2], make_record("soak", short)], "full")
    assert decision.decision == "HOLD"
    assert decision.claim("memory").reasons[0] == "too little yet: hours_under_load is 0.02, needed >= 72"
    assert next(s for s in decision.missing if "soak" in s.does).hours == 72


def test_a_short_soak_that_fails_its_own_checks_refutes(plan: Plan, good: list[Record]) -> None:
    leaking = make_record("soak", soak_result(hours_under_load=0.5, verdict="leaking"), outcome="failed")
    assert run(plan, [*good[:2], leaking], "full").decision == "NO-GO"


def test_an_invalid_record_is_no_go_at_every_level(plan: Plan, good: list[Record]) -> None:
    decision = run(plan, good, invalid_records=["f" * 64])
    assert (decision.decision, decision.authorized_level) == ("NO-GO", None)


def test_risk_is_high_until_the_mitigation_is_proven(plan: Plan, good: list[Record]) -> None:
    assert run(plan, good[:2]).risk == "HIGH"
    assert run(plan, good).risk == "LOW"


def test_confidence_counts_claims_and_names_the_weakest(plan: Plan, good: list[Record]) -> None:
    confidence = run(plan, good[:2], "full").confidence
    assert (confidence.proven, confidence.required, confidence.weakest) == (2, 3, "It does not leak")


def test_72_clean_hours_show_24_hours_between_failures(plan: Plan, good: list[Record]) -> None:
    bound = run(plan, [*good[:2], make_record("soak", soak_result(hours_under_load=72.0))], "full").confidence.bounds[0]
    assert bound.value == pytest.approx(24.03, abs=0.01)


def test_proven_claims_that_will_be_stale_at_the_planned_time_are_named(plan: Plan, good: list[Record]) -> None:
    assert [c.id for c in stale_at(run(plan, good), plan.schedule.deploy)] == ["works"]


records_of_any_kind = st.lists(
    st.builds(
        lambda collector, outcome, hours, subject: make_record(
            collector,
            {"tests": suite_result(), "documents": documents_result(), "soak": soak_result()}[collector],
            outcome=outcome,
            finished_at=NOW - timedelta(hours=hours),
            subject=Subject("shop", "2.0", subject),
        ),
        st.sampled_from(["tests", "documents", "soak"]),
        st.sampled_from(["passed", "failed", "inconclusive", "errored"]),
        st.floats(0, 400),
        st.sampled_from([SUBJECT, "dirHash1:" + "b" * 64]),
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def any_plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path: Path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    path.write_text(PLAN.replace("approvals:\n  full: [{role: approver}]\n", ""))
    return read_plan(path).plan


def rank(decision: Decision) -> int:
    return -1 if decision.authorized_level is None else LEVELS.index(decision.authorized_level)


@given(records=records_of_any_kind, collector=st.sampled_from(["tests", "documents", "soak"]))
def test_removing_all_evidence_of_a_collector_never_raises_the_level(
    any_plan: Plan, records: list[Record], collector: str
) -> None:
    assert rank(run(any_plan, [r for r in records if r.collector != collector])) <= rank(run(any_plan, records))


@given(records=records_of_any_kind, hours=st.floats(0, 1000))
def test_ageing_evidence_never_raises_the_level(any_plan: Plan, records: list[Record], hours: float) -> None:
    later = decide(any_plan, records, WANTED, level="full", now=NOW + timedelta(hours=hours), plan_digest="0")
    assert rank(later) <= rank(run(any_plan, records))


@given(records=records_of_any_kind)
def test_a_claim_is_only_ever_proven_by_a_fresh_record_of_the_subject(any_plan: Plan, records: list[Record]) -> None:
    for claim in any_plan.claims:
        verdict = judge_claim(claim, records, WANTED[claim.needs], NOW)
        if verdict.verdict == "PROVEN":
            record = next(r for r in records if r.record_id == verdict.record_id)
            assert record.subject.digest == SUBJECT
            assert record.outcome not in ("inconclusive", "errored")
            assert NOW - record.finished_at <= timedelta(seconds=claim.max_age)
