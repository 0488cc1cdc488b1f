"""Signing without a ledger, and what a ledger takes in of what was signed elsewhere."""

import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision.decide import next_expiry
from decision.inputs import inputs_of, subject_of
from decision.plan_file import read_plan
from evidence.acts import ApprovalResult
from evidence.allowed_signers import line_of
from evidence.dsse import sign, unverified_payload
from evidence.keys import public_text
from evidence.measurement import Measurement
from evidence.record import Attachment
from evidence.results import ContractResult, DocumentationResult
from evidence.statement import build_statement
from evidence.store import open_store
from evidence.verify import verify_ledger
from flows.authorization import conclude
from flows.publishing import waits_for
from flows.signing import (
    Hand,
    accept,
    examine,
    read_request,
    request_of,
    sign_approval,
    sign_revocation,
    sign_waiver,
)
from processes.errors import UsageError
from tests.e2e.small_release import make_release
from tests.unit.decision.factories import suite_result

ADA, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
HAND = Hand("approver", ADA)
YESTERDAY, TOMORROW = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def plan_file(tmp_path):
    folder = make_release(tmp_path / "shop")
    (folder / "ada.allowed").write_text(line_of(["ada"], public_text(ADA.public_key())))
    return read_plan(folder / "plan.yaml")


@pytest.fixture
def store(tmp_path, plan_file):
    """All that level full needs, but the signature."""
    opened = open_store(tmp_path / "home")
    results = {
        "tests": suite_result(),
        "documents": DocumentationResult(documents=1, complete=1, lines=5, details=[]),
        "contract": ContractResult(checks=1, passed=1, failed=0, requests=2, details=[]),
    }
    for name, result in results.items():
        now = datetime.now(UTC)
        opened.record(
            subject_of(plan_file), name, inputs_of(plan_file, name), Measurement(result, "passed", name, now, now)
        )
    yield opened
    opened.ledger.close()


@pytest.fixture
def request_(plan_file, store):
    return request_of(plan_file, store, "full")


def approval(plan_file, request, hand=HAND, **changes):
    values = {"root": request.digest, "refuse": False, "reason": ""} | changes
    return sign_approval(plan_file, request, hand, **values)


def test_an_accepted_approval_counts_and_is_in_the_ledger_once(plan_file, store, request_):
    assert conclude(plan_file, store, level="full").decision.lacks_only_signatures
    envelope = approval(plan_file, request_)
    first, second = accept(plan_file, store, envelope), accept(plan_file, store, envelope)
    assert (first.new, second.new) == (True, False)
    assert first.record == second.record
    assert conclude(plan_file, store, level="full").decision.decision == "GO"
    assert verify_ledger(store).problem is None


def test_what_is_examined_is_not_written(plan_file, store, request_):
    examine(plan_file, store, approval(plan_file, request_))
    assert list(store.ledger.rows(kind="approval")) == []


def test_a_request_travels_as_json_and_any_change_of_it_is_found(plan_file, request_):
    sent = request_.model_dump(mode="json")
    assert read_request(json.dumps(sent).encode(), plan_file, "full") == request_
    for field in ("subject", "plan_digest", "policy", "evidence", "waivers", "digest"):
        changed = sent | {field: {"works": "0" * 64} if isinstance(sent[field], dict) else "0" * 64}
        with pytest.raises(UsageError, match="its digest is not that of its content"):
            read_request(json.dumps(changed).encode(), plan_file, "full")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"level": "full"}', b"\xff", b"[" * 100_000])
def test_what_is_no_request_is_told(plan_file, content):
    with pytest.raises(UsageError, match="no approval request"):
        read_request(content, plan_file, "full")


def test_a_request_about_another_plan_subject_or_level_is_refused(plan_file, request_):
    sent = request_.model_dump_json().encode()
    with pytest.raises(UsageError, match="for level full"):
        read_request(sent, plan_file, "canary")
    with pytest.raises(UsageError, match="another plan"):
        read_request(sent, replace(plan_file, digest="0" * 64), "full")
    (plan_file.base / "service" / "index.html").write_text("<p>changed</p>\n")
    with pytest.raises(UsageError, match="another subject"):
        read_request(sent, plan_file, "full")


def test_a_key_that_is_not_allowed_signs_nothing_even_without_a_ledger(plan_file, request_):
    with pytest.raises(UsageError, match="not allowed for approver"):
        approval(plan_file, request_, Hand("approver", STRANGER))


def refused(plan_file, store, envelope):
    before = store.ledger.head()
    with pytest.raises(UsageError) as told:
        accept(plan_file, store, envelope)
    assert store.ledger.head() == before
    return str(told.value)


def forged(plan_file, request, *, key=ADA, at=None, attachments=(), collector="approval", **changes):
    """An act as it would be made without gonogo, or with a changed one."""
    at = at or datetime.now(UTC)
    values = {
        "role": "approver", "person": "Ada", "reason": "", "public_key": public_text(key.public_key()),
        "level": "full", "word": "approve", "not_before": at, "not_after": TOMORROW,
        "root": request.digest, "plan_digest": request.plan_digest, "policy": request.policy,
        "evidence": request.evidence, "waivers": request.waivers,
    }  # fmt: skip
    act = ApprovalResult(**(values | changes))
    summary = f"{act.person} {act.word}s level {act.level}"
    measured = Measurement(act, "passed", summary, at, at)
    return sign(
        build_statement(subject_of(plan_file), collector, {}, measurement=measured, attachments=[*attachments]), key
    )


def test_an_act_made_without_gonogo_counts_like_any_other(plan_file, store, request_):
    assert accept(plan_file, store, forged(plan_file, request_)).new


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"key": STRANGER}, "the key that signed it is not allowed for approver"),
        ({"root": "0" * 64}, "changed since it was signed"),
        ({"role": "operator"}, "the plan asks no operator for level full"),
        ({"role": "nobody"}, "the plan asks no nobody for level full"),
        ({"level": "canary"}, "the plan asks no approver for level canary"),
        ({"at": TOMORROW}, "signed in the future"),
        ({"not_after": YESTERDAY}, "counted until"),
        ({"at": YESTERDAY - timedelta(days=7), "not_after": TOMORROW}, "counted until"),
        ({"collector": "tests"}, "says more than"),
        ({"attachments": [Attachment("a", "text/plain", "0" * 64, 1)]}, "says more than"),
    ],
)
def test_what_would_count_for_nothing_is_not_written(plan_file, store, request_, changes, why):
    assert why in refused(plan_file, store, forged(plan_file, request_, **changes))


def test_a_time_without_a_zone_is_refused(plan_file, store, request_):
    statement = unverified_payload(forged(plan_file, request_))
    statement["predicate"]["result"]["not_after"] = "2999-01-01T00:00:00"
    assert "nothing that a person signed" in refused(plan_file, store, sign(statement, ADA))


def test_an_approval_of_evidence_that_proves_nothing_is_refused_and_a_refusal_is_not(plan_file, store):
    now = datetime.now(UTC)
    failed = Measurement(suite_result(passed=99, failed=1, pass_rate=0.99), "failed", "tests", now, now)
    store.record(subject_of(plan_file), "tests", inputs_of(plan_file, "tests"), failed)
    request = request_of(plan_file, store, "full")
    assert "not proven: works" in refused(plan_file, store, approval(plan_file, request))
    accept(plan_file, store, approval(plan_file, request, refuse=True, reason="it fails"))


def test_an_approval_of_another_release_is_refused(plan_file, store, request_, tmp_path):
    envelope = approval(plan_file, request_)
    (plan_file.base / "service" / "index.html").write_text("<p>changed</p>\n")
    assert "for another subject" in refused(plan_file, store, envelope)


def test_a_measurement_is_not_taken_for_a_signature(plan_file, store):
    row = next(iter(store.ledger.rows()))
    assert "nothing that a person signed" in refused(plan_file, store, row.envelope)


def test_an_older_signature_does_not_take_the_place_of_a_newer_one(plan_file, store, request_):
    older = approval(plan_file, request_)
    accept(plan_file, store, approval(plan_file, request_, refuse=True, reason="the runbook was not tried"))
    assert "the same role signed again later" in refused(plan_file, store, older)


def test_waivers_and_revocations_are_accepted_by_the_same_door(plan_file, store):
    (plan_file.base / "README.md").unlink()
    what = {"claim": "written", "owner": "operator", "reason": "it is being written", "expires_at": TOMORROW}
    stranger = sign_waiver(plan_file, store, Hand("approver", STRANGER), **what)
    assert "not allowed" in refused(plan_file, store, stranger)
    assert accept(plan_file, store, sign_waiver(plan_file, store, HAND, **what)).record.summary == "Ada waives written"
    approved = accept(plan_file, store, approval(plan_file, request_of(plan_file, store, "full"))).record
    assert conclude(plan_file, store, level="full").decision.decision == "CONDITIONAL GO"
    revocation = sign_revocation(plan_file, store, HAND, record=approved.record_id[:12], reason="too early")
    assert accept(plan_file, store, revocation).record.summary == f"Ada revokes {approved.record_id[:12]}"
    assert conclude(plan_file, store, level="full").decision.decision == "HOLD"
    assert not accept(plan_file, store, revocation).new


def test_a_refusal_cannot_be_revoked(plan_file, store, request_):
    refusal = accept(plan_file, store, approval(plan_file, request_, refuse=True, reason="not tried")).record
    with pytest.raises(UsageError, match="cannot be revoked"):
        sign_revocation(plan_file, store, HAND, record=refusal.record_id, reason="mistake")


def test_a_revocation_of_nothing_is_refused(plan_file, store, request_, tmp_path):
    other = open_store(tmp_path / "other")
    other.append_act(approval(plan_file, request_))
    record = next(iter(other.ledger.rows())).record_id
    revocation = sign_revocation(plan_file, other, HAND, record=record, reason="too early")
    other.ledger.close()
    assert "holds no approval or waiver that it revokes" in refused(plan_file, store, revocation)


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_an_allowed_key_signed_is_refused_or_leaves_a_ledger_that_decides(plan_file, store, request_, data):
    statement = unverified_payload(forged(plan_file, request_))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.just("9999-12-31T23:59:59.999999Z"),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    )
    node, key = statement, data.draw(st.sampled_from(sorted(statement)))
    while isinstance(node[key], dict) and node[key] and data.draw(st.booleans()):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node)))
    node[key] = data.draw(anything)
    with contextlib.suppress(UsageError):
        accept(plan_file, store, sign(statement, ADA))
    assert conclude(plan_file, store, level="full").decision.decision in ("GO", "HOLD", "NO-GO")
    assert verify_ledger(store).problem is None


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_are_taken_for_a_signature(plan_file, store, content):
    assert "nothing that a person signed" in refused(plan_file, store, content)


def test_what_a_waiting_run_shows_names_who_must_sign_over_what(plan_file, store):
    decision = conclude(plan_file, store, level="full").decision
    shown = waits_for(plan_file, decision, "it says ``` # GO")
    assert "- Ada (approver) for level full" in shown
    assert f"--root {decision.roots['full'].digest}" in shown
    assert "````\nit says ``` # GO\n````" in shown


def test_a_run_waits_as_long_as_its_evidence_and_its_waivers_count(plan_file, store):
    decision = conclude(plan_file, store, level="full").decision
    assert next_expiry(decision) == min(claim.valid_until for claim in decision.claims)
    soon = datetime.now(UTC) + timedelta(hours=1)
    (plan_file.base / "README.md").unlink()
    waiver = sign_waiver(plan_file, store, HAND, claim="written", owner="operator", reason="known", expires_at=soon)
    accept(plan_file, store, waiver)
    assert next_expiry(conclude(plan_file, store, level="full").decision) == soon
