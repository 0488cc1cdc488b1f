from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from decision.claims import Wanted
from decision.decide import Decision, decide
from decision.levels import Level
from decision.plan import Plan
from decision.plan_file import read_plan
from evidence.record import Record
from tests.unit.decision.acts import GRACE, SIGNERS, STRANGER, revocation, waiver
from tests.unit.decision.factories import NOW, PLAN, SUBJECT, documents_result, make_record, suite_result

WANTED = {name: Wanted(subject=SUBJECT, inputs={}) for name in ("tests", "documents", "soak")}
FAILING = make_record("tests", suite_result(passed=99, failed=1, pass_rate=0.99), outcome="failed")
RECORDS = [FAILING, make_record("documents", documents_result())]


@pytest.fixture
def waivable(tmp_path: Path) -> Plan:
    path = tmp_path / "plan.yaml"
    text = PLAN.replace("operator: {name: Grace}", "operator: {name: Grace, signers: grace.allowed}")
    path.write_text(text.replace("rollout:\n", "waivers: {roles: [approver], valid: 14d}\nrollout:\n"))
    return read_plan(path).plan


def run(plan: Plan, records: Sequence[Record], level: Level = "rehearsal", after: timedelta = timedelta()) -> Decision:
    more: dict[str, Any] = {"plan_digest": "0" * 64, "signers": SIGNERS}
    return decide(plan, records, WANTED, level=level, now=NOW + after, **more)


def test_a_waived_claim_makes_the_go_conditional_and_keeps_what_was_measured(waivable: Plan) -> None:
    decision = run(waivable, [*RECORDS, waiver(waivable, "works")])
    assert (decision.decision, decision.exit_code) == ("CONDITIONAL GO", 10)
    claim = decision.claim("works")
    assert claim.verdict == "WAIVED"
    assert claim.reasons[0] == "without the waiver REFUTED"
    assert "owner Grace: the soak ends on Friday" in claim.reasons[-1]
    assert decision.confidence.proven == 0


def test_a_waiver_never_outlives_its_expiry(waivable: Plan) -> None:
    decision = run(
        waivable, [*RECORDS, waiver(waivable, "works", expires_at=NOW + timedelta(hours=1))], after=timedelta(hours=2)
    )
    assert decision.decision == "NO-GO"
    assert decision.waivers[0].status == "expired"


def test_a_waiver_never_outlives_what_the_plan_allows(waivable: Plan) -> None:
    long = waiver(waivable, "works", at=NOW - timedelta(days=14), expires_at=NOW + timedelta(days=300))
    assert run(waivable, [*RECORDS, long]).waivers[0].status == "expired"


def test_without_a_rule_of_the_plan_nobody_may_waive(plan: Plan) -> None:
    decision = run(plan, [*RECORDS, waiver(plan, "works")])
    assert decision.decision == "NO-GO"
    assert "not asked" in decision.waivers[0].why


@pytest.mark.parametrize(
    "changes", [{"key": STRANGER}, {"key": GRACE, "role": "operator", "person": "Grace"}, {"claim": "no-such"}]
)
def test_a_waiver_of_the_wrong_hand_or_claim_is_void_and_told(waivable: Plan, changes: dict[str, Any]) -> None:
    decision = run(waivable, [*RECORDS, waiver(waivable, **({"claim": "works"} | changes))])
    assert decision.decision == "NO-GO"
    assert decision.waivers[0].status == "void"


def test_a_waiver_of_a_proven_claim_is_told_to_be_not_needed(waivable: Plan) -> None:
    decision = run(waivable, [make_record("tests", suite_result()), waiver(waivable, "works")])
    assert decision.decision == "GO"
    assert decision.waivers[0].status == "not needed"


def test_a_revoked_waiver_ends(waivable: Plan) -> None:
    signed = waiver(waivable, "works")
    assert run(waivable, [*RECORDS, signed, revocation(signed)]).decision == "NO-GO"


def test_a_waiver_lowers_no_risk(waivable: Plan) -> None:
    decision = run(waivable, [*RECORDS, waiver(waivable, "memory")], "full")
    assert decision.claim("memory").verdict == "WAIVED"
    assert decision.risk == "HIGH"


def test_an_invalid_record_cannot_be_waived(waivable: Plan) -> None:
    decided = decide(
        waivable, [*RECORDS, waiver(waivable, "works")], WANTED, level="rehearsal", now=NOW, plan_digest="0" * 64,
        signers=SIGNERS, invalid_records=["f" * 64],
    )  # fmt: skip
    assert decided.decision == "NO-GO"


def test_a_waiver_is_of_the_claim_as_the_plan_stated_it(waivable: Plan, tmp_path: Path) -> None:
    signed = waiver(waivable, "works")
    path = tmp_path / "plan.yaml"
    path.write_text(path.read_text().replace("says: It works", "says: No customer data leaks"))
    decision = run(read_plan(path).plan, [*RECORDS, signed])
    assert decision.decision == "NO-GO"
    assert "another one now" in decision.waivers[0].why


def test_a_waiver_of_what_was_not_proven_does_not_cover_what_is_refuted(waivable: Plan) -> None:
    decision = run(waivable, [*RECORDS, waiver(waivable, "works", verdict="NOT PROVEN")])
    assert decision.decision == "NO-GO"
    assert "is refuted now" in decision.waivers[0].why


def test_a_waiver_names_its_signer_and_owner_as_the_plan_does(waivable: Plan) -> None:
    decision = run(waivable, [*RECORDS, waiver(waivable, "works", person="The Queen")])
    assert decision.waivers[0].person == "Ada"
    assert run(waivable, [*RECORDS, waiver(waivable, "works", owner="Nobody")]).waivers[0].status == "void"
