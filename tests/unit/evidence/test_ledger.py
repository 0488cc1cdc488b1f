import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.ledger import Ledger, LedgerError
from evidence.record import Record
from evidence.store import EvidenceStore, open_store
from evidence.verify import verify_ledger
from processes.errors import IntegrityError, UsageError
from tests.unit.evidence.conftest import SUBJECT, measurement


def database(store: EvidenceStore) -> Path:
    return Path(str(store.ledger.engine.url.database))


def test_a_record_is_read_back_as_it_was_written(store: EvidenceStore, records: list[Record]) -> None:
    read, invalid = store.records(SUBJECT.digest)
    assert (read, invalid) == (records, [])


def test_a_new_process_reads_the_same_ledger(store: EvidenceStore, records: list[Record]) -> None:
    again = open_store(database(store).parent)
    assert again.records(SUBJECT.digest)[0] == records


def test_an_untouched_ledger_is_intact(store: EvidenceStore, records: list[Record]) -> None:
    verification = verify_ledger(store)
    assert (verification.problem, verification.records, verification.attachments) == (None, 3, 3)


@pytest.mark.parametrize("column", ["record_id", "previous", "chain", "subject", "collector", "kind", "envelope"])
def test_a_changed_column_of_any_row_is_found(store: EvidenceStore, records: list[Record], column: str) -> None:
    with sqlite3.connect(database(store)) as connection:
        (value,) = connection.execute(f"SELECT {column} FROM records WHERE sequence = 2").fetchone()
        changed = value[:-1] + (b" " if isinstance(value, bytes) else "x")
        connection.execute(f"UPDATE records SET {column} = ? WHERE sequence = 2", (changed,))
    assert (verify_ledger(store).problem or "").startswith("record 2 ")


def test_every_changed_byte_of_an_envelope_is_found(store: EvidenceStore, records: list[Record]) -> None:
    with sqlite3.connect(database(store)) as connection:
        (envelope,) = connection.execute("SELECT envelope FROM records WHERE sequence = 3").fetchone()
    for position in range(0, len(envelope), 7):
        changed = envelope[:position] + bytes([envelope[position] ^ 1]) + envelope[position + 1 :]
        with sqlite3.connect(database(store)) as connection:
            connection.execute("UPDATE records SET envelope = ? WHERE sequence = 3", (changed,))
        assert (verify_ledger(store).problem or "").startswith("record 3 "), position


def test_a_removed_row_is_found(store: EvidenceStore, records: list[Record]) -> None:
    with sqlite3.connect(database(store)) as connection:
        connection.execute("DELETE FROM records WHERE sequence = 2")
    assert "records 2 to 2 are missing" in (verify_ledger(store).problem or "")


def test_a_changed_or_missing_attachment_is_found(store: EvidenceStore, records: list[Record]) -> None:
    digest = records[1].attachments[0].sha256
    path = Path(store.attachments.url) / digest[:2] / digest
    path.write_bytes(b"line 3")
    assert "was changed" in (verify_ledger(store).problem or "")
    path.unlink()
    assert "cannot be read" in (verify_ledger(store).problem or "")


def test_a_record_signed_by_another_key_does_not_count(store: EvidenceStore, records: list[Record]) -> None:
    stranger = replace(store, key=Ed25519PrivateKey.generate())
    stranger.record(SUBJECT, "documents", {}, measurement(4))
    read, invalid = store.records(SUBJECT.digest)
    assert (len(read), len(invalid)) == (3, 1)
    assert "not signed by a trusted key" in (verify_ledger(store).problem or "")


def test_the_same_record_is_never_appended_twice(store: EvidenceStore, records: list[Record]) -> None:
    row = next(store.ledger.rows())
    with pytest.raises(LedgerError, match="refused"):
        store.ledger.append(row.envelope, subject=row.subject, collector=row.collector, kind=row.kind)


def test_concurrent_writers_never_fork_the_chain(store: EvidenceStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.record(SUBJECT, "documents", {}, measurement(n)), range(40)))
    assert verify_ledger(store).records == 40
    assert verify_ledger(store).problem is None


def test_an_unusable_database_url_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="database URL"):
        Ledger("nonsense")


def test_an_attachment_is_known_by_its_content_alone(store: EvidenceStore) -> None:
    digest = store.attachments.put(b"content")
    assert store.attachments.get(digest) == b"content"
    with pytest.raises(IntegrityError):
        store.attachments.get("0" * 64)
