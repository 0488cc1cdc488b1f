import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.acts import WaiverResult
from evidence.allowed_signers import Signer, line_of
from evidence.dsse import key_id, sign
from evidence.keys import public_text
from evidence.measurement import Measurement
from evidence.record import Record
from evidence.statement import build_statement
from evidence.store import EvidenceStore, open_store
from evidence.verify import verify_ledger
from processes.errors import IntegrityError
from tests.unit.evidence.conftest import SUBJECT, measurement

PERSON = Ed25519PrivateKey.generate()


def waiver(key: Ed25519PrivateKey = PERSON, signed_with: Ed25519PrivateKey | None = None) -> bytes:
    now = datetime.now(UTC)
    result = WaiverResult(
        role="approver", person="Ada", reason="known", public_key=public_text(key.public_key()), claim="works",
        claim_digest="0" * 64, verdict="REFUTED",
        owner="Grace", expires_at=now + timedelta(days=1),
    )  # fmt: skip
    act = Measurement(result=result, outcome="passed", summary="Ada waives", started_at=now, finished_at=now)
    return sign(build_statement(SUBJECT, "waiver", {}, act, []), signed_with or key)


def test_an_act_is_signed_by_the_person_alone_and_reads_back(store: EvidenceStore) -> None:
    record = store.append_act(waiver())
    assert record.signed_by == key_id(PERSON.public_key())
    assert store.records(SUBJECT.digest) == ([record], [])
    assert verify_ledger(store).problem is None


def test_an_act_under_anothers_name_for_the_key_is_not_appended(store: EvidenceStore) -> None:
    with pytest.raises(IntegrityError):
        store.append_act(waiver(signed_with=Ed25519PrivateKey.generate()))
    assert store.ledger.head() is None


def test_an_act_under_anothers_name_for_the_key_does_not_verify(store: EvidenceStore) -> None:
    forged = waiver(signed_with=Ed25519PrivateKey.generate())
    store.ledger.append(forged, subject=SUBJECT.digest, collector="waiver", kind="waiver")
    assert len(store.records(SUBJECT.digest)[1]) == 1
    assert "record 1" in (verify_ledger(store).problem or "")


def test_a_measurement_cannot_be_filed_as_an_act_to_escape_the_trusted_keys(
    store: EvidenceStore, records: list[Record]
) -> None:
    with sqlite3.connect(Path(str(store.ledger.engine.url.database))) as connection:
        connection.execute("UPDATE records SET kind = 'waiver' WHERE sequence = 2")
    assert len(store.records(SUBJECT.digest)[1]) == 1


def test_a_person_cannot_sign_a_measurement(store: EvidenceStore) -> None:
    of_the_person = EvidenceStore(
        store.ledger, store.attachments, PERSON, (Signer((), PERSON.public_key()),), store.collectors_file
    )
    of_the_person.record(SUBJECT, "documents", {}, measurement())
    assert len(store.records(SUBJECT.digest)[1]) == 1


def test_measurements_of_another_machine_count_once_its_key_is_allowed(store: EvidenceStore) -> None:
    home = Path(str(store.ledger.engine.url.database)).parent
    other = replace(store, key=PERSON, trusted=())
    other.record(SUBJECT, "documents", {}, measurement())
    assert len(open_store(home).records(SUBJECT.digest)[1]) == 1
    with (home / "keys" / "collectors.allowed").open("a") as file:
        file.write(line_of(["ci"], public_text(PERSON.public_key())))
    assert len(open_store(home).records(SUBJECT.digest)[0]) == 1


def test_a_retired_key_keeps_what_it_signed_in_its_time(store: EvidenceStore, records: list[Record]) -> None:
    (own,) = store.trusted
    retired = replace(own, valid_before=datetime.now(UTC) + timedelta(hours=1))
    assert len(replace(store, trusted=(retired,)).records(SUBJECT.digest)[0]) == 3
    never = replace(own, valid_before=records[0].finished_at)
    assert len(replace(store, trusted=(never,)).records(SUBJECT.digest)[1]) == 3
