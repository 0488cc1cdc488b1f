from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from decision.authority import Signers
from decision.claims import Wanted
from decision.decide import Decision, decide
from decision.levels import Level
from decision.plan import Plan
from decision.plan_file import PlanError, read_plan
from evidence.allowed_signers import Signer
from evidence.dsse import key_id
from evidence.record import Record
from tests.unit.decision.acts import ADA, GRACE, SIGNERS, STRANGER, approval, revocation, waiver
from tests.unit.decision.factories import NOW, PLAN, SUBJECT, documents_result, make_record, soak_result, suite_result

WANTED = {name: Wanted(subject=SUBJECT, inputs={}) for name in ("tests", "documents", "soak")}
GOOD = [
    make_record("tests", suite_result()),
    make_record("documents", documents_result()),
    make_record("soak", soak_result()),
]
SOON = NOW + timedelta(minutes=1)


def run(plan: Plan, records: Sequence[Record], level: Level = "full", **more: Any) -> Decision:
    values: dict[str, Any] = {"level": level, "now": SOON, "plan_digest": "0" * 64, "signers": SIGNERS} | more
    return decide(plan, records, WANTED, **values)


PlanOf = Callable[[str], Plan]


@pytest.fixture
def plan_of(tmp_path: Path) -> PlanOf:
    """The plan with other approvals: YAML of the ``approvals`` mapping."""

    def make(approvals: str) -> Plan:
        path = tmp_path / "plan.yaml"
        people = "  operator: {name: Grace, signers: grace.allowed}\n  validator: {name: Robot, machine: true}\n"
        text = PLAN.replace("  operator: {name: Grace}\n", people)
        path.write_text(text.replace("approvals:\n  full: [{role: approver}]\n", f"approvals: {approvals}\n"))
        return read_plan(path).plan

    return make


def test_a_signature_over_the_present_root_is_a_go(plan: Plan) -> None:
    root = run(plan, GOOD).roots["full"]
    decision = run(plan, [*GOOD, approval(root)])
    assert (decision.decision, decision.authorized_level) == ("GO", "full")
    assert [(a.person, a.status) for a in decision.approvals] == [("Ada", "signed")]


def test_other_evidence_voids_a_signature_and_is_named(plan: Plan) -> None:
    signed = approval(run(plan, GOOD).roots["full"])
    newer = make_record("soak", soak_result(hours_under_load=80.0), finished_at=NOW)
    decision = run(plan, [*GOOD, newer, signed])
    assert decision.decision == "HOLD"
    assert decision.approvals[0].status == "void"
    old, new = GOOD[2].record_id[:12], newer.record_id[:12]
    assert decision.approvals[0].changed == (f"the evidence for memory ({old} then, {new} now)",)


def test_a_changed_plan_voids_a_signature(plan: Plan) -> None:
    signed = approval(run(plan, GOOD).roots["full"])
    decision = run(plan, [*GOOD, signed], plan_digest="1" * 64)
    assert decision.decision == "HOLD"
    assert "the plan" in decision.approvals[0].why


def test_another_policy_voids_a_signature(plan: Plan) -> None:
    root = run(plan, GOOD).roots["full"]
    decision = run(plan, [*GOOD, approval(root, policy="gonogo/0", root="2" * 64)])
    assert decision.approvals[0].changed == (f"the policy (gonogo/0 then, {root.policy} now)",)


def test_a_new_waiver_voids_a_signature(plan: Plan, plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{role: approver}]}\nwaivers: {roles: [operator]}")
    signed = approval(run(plan, GOOD).roots["full"])
    worse = [*GOOD[:2], make_record("soak", soak_result(growth_per_day=0.2))]
    by_grace = waiver(plan, "memory", key=GRACE, role="operator", person="Grace")
    decision = run(plan, [*worse, by_grace, signed])
    assert decision.approvals[0].status == "void"
    assert any(change.startswith("the waiver of memory") for change in decision.approvals[0].changed)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"key": STRANGER}, "not allowed for approver"),
        ({"role": "operator", "key": GRACE}, "asks no operator"),
        ({"at": SOON + timedelta(hours=1)}, "in the future"),
    ],
)
def test_a_signature_of_the_wrong_hand_does_not_count(plan: Plan, changes: dict[str, Any], why: str) -> None:
    decision = run(plan, [*GOOD, approval(run(plan, GOOD).roots["full"], **changes)])
    assert decision.decision == "HOLD"
    assert decision.approvals[0].status == "void"
    assert why in decision.approvals[0].why


def test_a_machine_never_counts(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{role: approver}]}")
    robot = {"validator": (Signer(("robot",), STRANGER.public_key()),)}
    root = run(plan, GOOD).roots["full"]
    decision = run(plan, [*GOOD, approval(root, role="validator", key=STRANGER)], signers=robot)
    assert decision.decision == "HOLD"
    with pytest.raises(PlanError, match="is a machine and never counts"):
        plan_of("{full: [{role: validator}]}")


def test_a_signature_counts_within_its_window_only(plan: Plan) -> None:
    root = run(plan, GOOD).roots["full"]
    fresh = [replace(r, finished_at=NOW) for r in GOOD]
    later = approval(run(plan, fresh).roots["full"], not_before=NOW + timedelta(hours=1))
    assert run(plan, [*fresh, later]).approvals[0].status == "not yet"
    short = approval(root, not_after=NOW + timedelta(seconds=30))
    assert run(plan, [*GOOD, short]).approvals[0].status == "expired"


def test_a_signature_counts_no_longer_than_the_plan_allows(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{role: approver, valid: 10m}]}")
    signed = approval(run(plan, GOOD).roots["full"], not_after=NOW + timedelta(days=300))
    assert run(plan, [*GOOD, signed], now=NOW + timedelta(minutes=9)).decision == "GO"
    assert run(plan, [*GOOD, signed], now=NOW + timedelta(minutes=11)).approvals[0].status == "expired"


def test_a_key_that_is_no_longer_valid_ends_what_it_signed(plan: Plan) -> None:
    signed = approval(run(plan, GOOD).roots["full"])
    ended: Signers = {"approver": (Signer(("ada",), ADA.public_key(), valid_before=SOON),)}
    assert run(plan, [*GOOD, signed], signers=ended).decision == "HOLD"
    assert run(plan, [*GOOD, signed], signers={}).decision == "HOLD"


def test_a_key_that_was_not_yet_valid_when_it_signed_does_not_count(plan: Plan) -> None:
    signed = approval(run(plan, GOOD).roots["full"])
    young: Signers = {"approver": (Signer(("ada",), ADA.public_key(), valid_after=SOON),)}
    assert run(plan, [*GOOD, signed], signers=young).decision == "HOLD"


def test_whoever_collected_does_not_sign(plan: Plan) -> None:
    own = [replace(r, signed_by=key_id(ADA.public_key())) for r in GOOD]
    decision = run(plan, [*own, approval(run(plan, own).roots["full"])])
    assert decision.decision == "HOLD"
    assert "collected the evidence" in decision.approvals[0].why


def test_another_key_of_the_one_who_collected_does_not_sign_either(plan: Plan) -> None:
    second = Ed25519PrivateKey.generate()
    both: Signers = {"approver": (*SIGNERS["approver"], Signer(("ada",), second.public_key()))}
    own = [replace(r, signed_by=key_id(second.public_key())) for r in GOOD]
    assert run(plan, [*own, approval(run(plan, own).roots["full"])], signers=both).decision == "HOLD"


def test_a_refusal_is_a_no_go_with_its_reason_and_a_later_word_takes_its_place(plan: Plan) -> None:
    root = run(plan, GOOD).roots["full"]
    no = approval(root, word="refuse", reason="the runbook was not tried", at=NOW - timedelta(minutes=10))
    decision = run(plan, [*GOOD, no])
    assert (decision.decision, decision.exit_code) == ("NO-GO", 20)
    assert decision.approvals[0].why == "the runbook was not tried"
    assert run(plan, [*GOOD, no, approval(root)]).decision == "GO"


def test_a_refusal_stops_its_own_level_and_those_above_only(plan: Plan) -> None:
    no = approval(run(plan, GOOD).roots["full"], word="refuse", reason="no")
    decision = run(plan, [*GOOD, no], "ab-test")
    assert (decision.decision, decision.authorized_level) == ("GO", "ab-test")


def test_a_refusal_over_an_older_root_is_void_and_the_signature_missing_again(plan: Plan) -> None:
    no = approval(run(plan, GOOD).roots["full"], word="refuse", reason="no")
    newer = make_record("tests", suite_result(tests=101, passed=101), finished_at=NOW)
    decision = run(plan, [*GOOD, newer, no])
    assert decision.decision == "HOLD"
    assert len(decision.approvals_missing) == 1


def test_a_strangers_refusal_stops_nothing(plan: Plan) -> None:
    root = run(plan, GOOD).roots["full"]
    no = approval(root, key=STRANGER, word="refuse", reason="no", at=NOW + timedelta(seconds=10))
    assert run(plan, [*GOOD, approval(root), no]).decision == "GO"


def test_a_revoked_signature_does_not_count(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{role: approver}]}")
    signed = approval(run(plan, GOOD).roots["full"])
    decision = run(plan, [*GOOD, signed, revocation(signed)])
    assert decision.decision == "HOLD"
    assert decision.approvals[0].why == "revoked by Grace (operator): signed by mistake"
    assert run(plan, [*GOOD, signed, revocation(signed, key=STRANGER)]).decision == "GO"


def test_a_quorum_needs_different_people(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{any_of: [approver, operator], quorum: 2}]}")
    root = run(plan, GOOD).roots["full"]
    ada, grace = approval(root), approval(root, role="operator", key=GRACE)
    again = approval(root, at=NOW + timedelta(seconds=5))
    assert len(run(plan, [*GOOD]).approvals_missing) == 2
    assert [a.person for a in run(plan, [*GOOD, ada, again]).approvals_missing] == ["Grace"]
    assert run(plan, [*GOOD, ada, grace]).decision == "GO"


def test_one_key_in_two_roles_counts_once(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{role: approver}, {role: operator}]}")
    shared: Signers = dict.fromkeys(("approver", "operator"), SIGNERS["approver"])
    root = run(plan, GOOD).roots["full"]
    both = [approval(root), approval(root, role="operator")]
    decision = run(plan, [*GOOD, *both], signers=shared)
    assert decision.decision == "HOLD"
    assert [a.role for a in decision.approvals_missing] == ["operator"]


def test_a_rule_with_one_role_is_served_before_one_with_many(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{any_of: [approver, operator]}, {role: approver}]}")
    root = run(plan, GOOD).roots["full"]
    assert run(plan, [*GOOD, approval(root), approval(root, role="operator", key=GRACE)]).decision == "GO"


@pytest.mark.parametrize(
    ("approvals", "problem"),
    [
        ("{full: [{any_of: [approver, operator], quorum: 3}]}", "can never sign"),
        ("{full: [{role: approver, any_of: [operator]}]}", "expected role, or any_of"),
        ("{full: [{role: approver, quorum: 2}]}", "one role signs once"),
        ("{full: [{role: approver}, {role: approver}]}", "counts once for a level"),
        ("{full: [{role: nobody}]}", "people has no 'nobody'"),
    ],
)
def test_a_signature_that_nobody_could_ever_give_is_an_error_of_the_plan(
    plan_of: PlanOf, approvals: str, problem: str
) -> None:
    with pytest.raises(PlanError, match=problem):
        plan_of(approvals)


@given(
    field=st.sampled_from(["role", "level", "root", "public_key", "not_after", "not_before"]),
    moved=st.timedeltas(min_value=timedelta(hours=1), max_value=timedelta(days=30)),
)
def test_no_changed_part_of_a_signature_makes_it_count_for_more(any_plan: Plan, field: str, moved: timedelta) -> None:
    root = run(any_plan, GOOD).roots["full"]
    good = approval(root)
    values = dict(good.result)
    values[field] = {
        "role": "operator",
        "level": "canary",
        "root": "f" * 64,
        "public_key": values["public_key"][:-1] + ("B" if values["public_key"].endswith("A") else "A"),
        "not_after": NOW - moved,
        "not_before": NOW + moved,
    }[field]
    assert run(any_plan, [*GOOD, good]).decision == "GO"
    assert run(any_plan, [*GOOD, replace(good, result=type(good.result)(**values))]).decision != "GO"


@pytest.fixture(scope="module")
def any_plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    path.write_text(PLAN)
    return read_plan(path).plan


def test_a_refusal_cannot_be_revoked(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{role: approver}]}")
    root = run(plan, GOOD).roots["full"]
    yes = approval(root, at=NOW - timedelta(minutes=10))
    no = approval(root, word="refuse", reason="no")
    assert run(plan, [*GOOD, yes, no, revocation(no)]).decision == "NO-GO"


def test_a_revoked_later_approval_does_not_bring_back_an_earlier_one(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{role: approver}]}")
    root = run(plan, GOOD).roots["full"]
    first, second = approval(root, at=NOW - timedelta(minutes=10)), approval(root)
    assert run(plan, [*GOOD, first, second, revocation(second)]).decision == "HOLD"


def test_a_revoked_approval_does_not_lift_an_earlier_refusal(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{role: approver}]}")
    root = run(plan, GOOD).roots["full"]
    no = approval(root, word="refuse", reason="no", at=NOW - timedelta(minutes=10))
    yes = approval(root)
    assert run(plan, [*GOOD, no, yes, revocation(yes)]).decision == "NO-GO"


def test_what_restrains_a_release_outlives_its_key(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{role: approver}]}")
    root = run(plan, GOOD).roots["full"]
    retired = Ed25519PrivateKey.generate()
    keys: Signers = {
        "approver": (*SIGNERS["approver"], Signer(("ada",), retired.public_key(), valid_before=SOON)),
        "operator": (Signer(("grace",), GRACE.public_key(), valid_before=SOON),),
    }
    yes = approval(root, at=NOW - timedelta(minutes=10))
    no = approval(root, key=retired, word="refuse", reason="no")
    assert run(plan, [*GOOD, yes, no], signers=keys).decision == "NO-GO"
    assert run(plan, [*GOOD, yes, revocation(yes)], signers=keys).decision == "HOLD"


def test_a_refusal_stands_as_long_as_the_evidence_does(plan_of: PlanOf) -> None:
    plan = plan_of("{full: [{any_of: [approver, operator], valid: 10m}]}")
    root = run(plan, GOOD).roots["full"]
    no = approval(root, word="refuse", reason="no", at=NOW - timedelta(hours=1), not_after=NOW)
    decision = run(plan, [*GOOD, no, approval(root, role="operator", key=GRACE)])
    assert decision.decision == "NO-GO"


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_of_two_rules_for_a_role_the_stricter_time_holds(plan_of: PlanOf, order: slice) -> None:
    rules = ["{any_of: [approver, operator], valid: 30d}", "{role: approver, valid: 10m}"][order]
    plan = plan_of(f"{{full: [{', '.join(rules)}]}}")
    root = run(plan, GOOD).roots["full"]
    both = [approval(root, not_after=NOW + timedelta(days=9)), approval(root, role="operator", key=GRACE)]
    assert run(plan, [*GOOD, *both]).decision == "GO"
    assert run(plan, [*GOOD, *both], now=NOW + timedelta(hours=2)).decision == "HOLD"


def test_signatures_are_spread_over_the_rules_so_that_as_many_as_can_are_fulfilled(tmp_path: Path) -> None:
    people = "".join(f"  {role}: {{name: {role.title()}, signers: {role}.allowed}}\n" for role in ("a", "b", "c"))
    rules = "approvals:\n  full: [{any_of: [a, b]}, {any_of: [a, c]}]\n"
    path = tmp_path / "plan.yaml"
    text = PLAN.replace("  operator: {name: Grace}\n", f"  operator: {{name: Grace}}\n{people}")
    path.write_text(text.replace("approvals:\n  full: [{role: approver}]\n", rules))
    plan = read_plan(path).plan
    keys = {role: Ed25519PrivateKey.generate() for role in ("a", "b")}
    signers: Signers = {role: (Signer((role,), key.public_key()),) for role, key in keys.items()}
    root = run(plan, GOOD, signers=signers).roots["full"]
    signed = [approval(root, role=role, key=key, person=role) for role, key in keys.items()]
    for records in (signed, signed[::-1]):
        assert run(plan, [*GOOD, *records], signers=signers).decision == "GO"


def test_an_act_under_a_collectors_name_is_no_measurement(plan: Plan) -> None:
    signed = approval(run(plan, GOOD).roots["full"])
    decision = run(plan, [*GOOD[1:], replace(signed, collector="tests")], "rehearsal")
    assert decision.claim("works").verdict == "NOT PROVEN"
