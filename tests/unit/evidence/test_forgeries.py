"""What somebody without a trusted key can write into a ledger, and what must come of it: nothing."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from evidence.acts import WaiverResult
from evidence.allowed_signers import line_of, parse_allowed_signers
from evidence.dsse import key_id, sign
from evidence.keys import parse_public_text, public_text
from evidence.measurement import Measurement
from evidence.statement import build_statement
from evidence.store import EvidenceStore
from processes.errors import IntegrityError, UsageError
from tests.unit.evidence.conftest import SUBJECT

ADA, MALLORY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def statement(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    result = WaiverResult(
        role="approver", person="Ada", reason="known", public_key=public_text(ADA.public_key()), claim="works",
        claim_digest="0" * 64, verdict="REFUTED", owner="Grace", expires_at=now + timedelta(days=1),
    )  # fmt: skip
    measured = Measurement(result=result, outcome="passed", summary="Ada waives", started_at=now, finished_at=now)
    made = build_statement(SUBJECT, "waiver", {}, measured, [])
    made["predicate"]["result"] |= changes
    return made


def file(store: EvidenceStore, envelope: bytes, **columns: str) -> None:
    store.ledger.append(envelope, **({"subject": SUBJECT.digest, "collector": "waiver", "kind": "waiver"} | columns))


def is_refused(store: EvidenceStore) -> bool:
    records, invalid = store.records(SUBJECT.digest)
    return (len(records), len(invalid)) == (0, 1)


def test_a_real_act_is_read(store: EvidenceStore) -> None:
    file(store, sign(statement(), ADA))
    assert len(store.records(SUBJECT.digest)[0]) == 1


def test_an_act_cannot_show_one_key_to_the_verifier_and_another_to_the_reader(store: EvidenceStore) -> None:
    forged = statement()
    mine = {**forged["predicate"]["result"], "public_key": public_text(MALLORY.public_key())}
    forged["predicate"] = {"gonogo": forged["predicate"], "result": mine}
    file(store, sign(forged, MALLORY))
    assert is_refused(store)


@pytest.mark.parametrize("place", ["envelope", "signature"])
def test_an_act_cannot_come_back_under_another_record_id(store: EvidenceStore, place: str) -> None:
    envelope = json.loads(sign(statement(), ADA))
    (envelope if place == "envelope" else envelope["signatures"][0])["x"] = 1
    file(store, rfc8785.dumps(envelope))
    assert is_refused(store)


def test_an_act_for_another_subject_cannot_be_filed_under_this_one(store: EvidenceStore) -> None:
    other = statement()
    other["subject"][0]["digest"] = {"dirHash1": "b" * 64}
    file(store, sign(other, ADA))
    assert is_refused(store)


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": "9999-12-31T00:00:00Z"},
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"expires_at": "2026-01-01T00:00:00"},
        {"verdict": "PROVEN"},
        {"public_key": None},
        {"public_key": "ssh-ed25519 AAAA"},
        {"more": 1},
    ],
)
def test_an_act_with_odd_values_is_an_invalid_record_and_never_a_crash(
    store: EvidenceStore, changes: dict[str, Any]
) -> None:
    file(store, sign(statement(**changes), ADA))
    assert is_refused(store)


@pytest.mark.parametrize("subject", ["x", [], [{}], [{"name": "shop", "digest": "sha256:00"}], [1]])
def test_an_act_about_nothing_is_an_invalid_record(store: EvidenceStore, subject: Any) -> None:
    file(store, sign(statement() | {"subject": subject}, ADA))
    assert is_refused(store)


@pytest.mark.parametrize(
    "payload", [b'{"a": NaN}', b'{"a": 123456789012345678901234567890}', b'{"a": "\\ud800"}', b"[" * 100_000, b"\xff"]
)
def test_a_payload_that_is_no_canonical_json_is_an_invalid_record(store: EvidenceStore, payload: bytes) -> None:
    envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"keyid": key_id(ADA.public_key()), "sig": ""}]}  # fmt: skip
    file(store, json.dumps(envelope).encode())
    file(store, payload, collector="x")
    assert len(store.records(SUBJECT.digest)[1]) == 2


SMALL_ORDER = ["00" * 32, "01" + "00" * 31, "01" + "00" * 30 + "80", "ec" + "ff" * 30 + "7f", "ed" + "ff" * 31]


@pytest.mark.parametrize("raw", SMALL_ORDER)
def test_a_key_of_small_order_is_nobodys(raw: str) -> None:
    text = public_text(Ed25519PublicKey.from_public_bytes(bytes.fromhex(raw)))
    with pytest.raises(IntegrityError, match="small order"):
        parse_public_text(text)
    with pytest.raises(UsageError, match="small order"):
        parse_allowed_signers(line_of(["mallory"], text), name="x")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('ada namespaces="!gonogo,*" KEY', "taken out"),
        ('ada valid-before="20260101",valid-before="20300101" KEY', "given twice"),
    ],
)
def test_an_option_that_could_be_read_in_two_ways_is_refused(line: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse_allowed_signers(line.replace("KEY", public_text(ADA.public_key())), name="x")


def test_no_odd_line_break_hides_a_key_in_a_comment() -> None:
    text = f"# a note\u2028mallory {public_text(MALLORY.public_key())}\x0b\x85\n"
    assert parse_allowed_signers(text, name="x") == ()
