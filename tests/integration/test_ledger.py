"""The ledger on SQLite and on PostgreSQL."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event, text

from evidence.database import LedgerError, open_database, writing
from evidence.ledger import GENESIS, Ledger
from evidence.record import Record, Subject
from evidence.store import EvidenceStore, open_store
from evidence.verify import verify_ledger
from processes.errors import UsageError
from rollouts.journal import Journal
from tests.integration.postgresql import PASSWORD, Server
from tests.unit.evidence.conftest import SUBJECT, measurement


def change(store: EvidenceStore, statement: str, **values: object) -> None:
    with writing(store.ledger.engine) as connection:
        connection.execute(text(statement), values)


def plan_of(store: EvidenceStore, query: Callable[[Ledger], object]) -> str:
    """How the database finds the rows of a query of the ledger, in its own words."""
    engine, seen = store.ledger.engine, []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, parameters, _context, _many):
        seen.append((statement, parameters))

    query(store.ledger)
    event.remove(engine, "before_cursor_execute", note)
    ((statement, parameters),) = [call for call in seen if call[0].startswith("SELECT")]
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        return "\n".join(str(row) for row in connection.exec_driver_sql(explain + statement, parameters))


def test_a_record_is_read_back_as_it_was_written(store: EvidenceStore, records: list[Record]) -> None:
    read, invalid = store.records(SUBJECT.digest)
    assert (read, invalid) == (records, [])


def test_a_new_process_reads_the_same_ledger(store: EvidenceStore, records: list[Record], tmp_path: Path) -> None:
    again = open_store(tmp_path / "home")
    assert again.records(SUBJECT.digest)[0] == records
    again.ledger.close()


def test_the_chain_can_be_recomputed_from_the_ids_alone(store: EvidenceStore, records: list[Record]) -> None:
    chain = GENESIS
    for row in store.ledger.rows():
        assert row.previous == chain
        assert hashlib.sha256(row.envelope or b"").hexdigest() == row.record_id
        chain = hashlib.sha256((chain + row.record_id).encode("ascii")).hexdigest()
        assert row.chain == chain
    head = store.ledger.head()
    assert head is not None
    assert (head.sequence, head.chain) == (3, chain)


def test_an_untouched_ledger_is_intact(store: EvidenceStore, records: list[Record]) -> None:
    verification = verify_ledger(store)
    assert (verification.problem, verification.records, verification.attachments) == (None, 3, 3)


@pytest.mark.parametrize("column", ["record_id", "previous", "chain", "subject", "collector", "kind", "envelope"])
def test_a_changed_column_of_any_row_is_found(store: EvidenceStore, records: list[Record], column: str) -> None:
    value = vars(list(store.ledger.rows())[1])[column]
    changed = value[:-1] + (b" " if isinstance(value, bytes) else "x")
    change(store, f"UPDATE records SET {column} = :changed WHERE sequence = 2", changed=changed)
    assert (verify_ledger(store).problem or "").startswith("record 2 ")


def test_every_changed_byte_of_an_envelope_is_found(store: EvidenceStore, records: list[Record]) -> None:
    envelope = list(store.ledger.rows())[2].envelope or b""
    for position in range(0, len(envelope), 7):
        changed = envelope[:position] + bytes([envelope[position] ^ 1]) + envelope[position + 1 :]
        change(store, "UPDATE records SET envelope = :changed WHERE sequence = 3", changed=changed)
        assert (verify_ledger(store).problem or "").startswith("record 3 "), position


def test_a_removed_row_is_found(store: EvidenceStore, records: list[Record]) -> None:
    change(store, "DELETE FROM records WHERE sequence = 2")
    assert "records 2 to 2 are missing" in (verify_ledger(store).problem or "")


def test_an_envelope_that_nobody_recorded_as_removed_is_missing(store: EvidenceStore, records: list[Record]) -> None:
    change(store, "UPDATE records SET envelope = NULL WHERE sequence = 2")
    assert "its content is missing" in (verify_ledger(store).problem or "")
    assert store.records(SUBJECT.digest)[1] == [records[1].record_id]


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
    with pytest.raises(LedgerError, match="refused") as refusal:
        store.ledger.append(row.envelope or b"", subject=row.subject, collector=row.collector, kind=row.kind)
    assert "\n" not in str(refusal.value)
    assert verify_ledger(store).records == 3


def test_a_reader_in_the_middle_of_the_ledger_keeps_no_writer_waiting(
    store: EvidenceStore, records: list[Record]
) -> None:
    reading = store.ledger.rows()
    next(reading)
    store.record(SUBJECT, "documents", {}, measurement(4))
    assert len(list(reading)) == 2, "it reads the ledger as it was when it began"
    assert verify_ledger(store).records == 4


def test_threads_never_fork_the_chain(store: EvidenceStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.record(SUBJECT, "documents", {}, measurement(n)), range(40)))
    assert verify_ledger(store).records == 40
    assert verify_ledger(store).problem is None


def test_rows_are_found_by_subject_and_kind(store: EvidenceStore, records: list[Record]) -> None:
    other = store.record(Subject("shop", "3.0", "dirHash1:" + "b" * 64), "documents", {}, measurement(4))
    assert [row.record_id for row in store.ledger.rows(subject=other.subject.digest)] == [other.record_id]
    assert [row.sequence for row in store.ledger.rows(kind="documentation")] == [1, 2, 3, 4]
    assert [row.sequence for row in store.ledger.rows(subject=SUBJECT.digest, kind="documentation")] == [1, 2, 3]
    assert list(store.ledger.rows(subject=SUBJECT.digest, kind="load")) == []


def test_a_row_is_found_by_its_number_or_the_beginning_of_its_id(store: EvidenceStore, records: list[Record]) -> None:
    for record in records:
        assert [row.sequence for row in store.ledger.find(record.record_id[:12])] == [record.sequence]
        assert [row.record_id for row in store.ledger.find(str(record.sequence))] == [record.record_id]
    for nothing in ("", "no-such", "%", "_", "0" * 64, "9" * 65, "9" * 12, "4" * 9):
        assert store.ledger.find(nothing) == []
    for number in range(4, 21):  # 17 ids and 16 first digits
        store.record(SUBJECT, "documents", {}, measurement(number))
    firsts = [row.record_id[0] for row in store.ledger.rows()]
    twice = next(first for first in firsts if firsts.count(first) > 1)
    if not twice.isdigit():
        assert len(store.ledger.find(twice)) == 2


def test_queries_use_an_index_whatever_the_size_of_the_ledger(store: EvidenceStore) -> None:
    with writing(store.ledger.engine) as connection:
        connection.execute(
            text("INSERT INTO records VALUES (:n, :id, :id, :id, :subject, 'c', :kind, :envelope)"),
            [
                {
                    "n": n,
                    "id": hashlib.sha256(b"%d" % n).hexdigest(),
                    "subject": f"subject-{n % 100}",
                    "kind": f"kind-{n % 20}",
                    "envelope": b"x" * 1000,
                }
                for n in range(1, 5001)
            ],
        )
    change(store, "ANALYZE")
    queries: list[tuple[Callable[[Ledger], object], str, str]] = [
        (lambda x: list(x.rows(subject="subject-7")), "records_by_subject", "(subject=?)"),
        (lambda x: list(x.rows(subject="subject-7", kind="kind-7")), "records_by_subject", "(subject=? AND kind=?)"),
        (lambda x: list(x.rows(kind="kind-7")), "records_by_kind", "(kind=?)"),
        (lambda x: x.find("abc"), "records_record_id_key", "(record_id>? AND record_id<?)"),
        (lambda x: x.find("7"), "records_pkey", "USING INTEGER PRIMARY KEY (rowid=?)"),
    ]
    for query, index, found_by in queries:
        plan = plan_of(store, query)
        sqlite = store.ledger.engine.dialect.name == "sqlite"
        assert ("SEARCH records" in plan and found_by in plan) if sqlite else index in plan, plan
    assert "records_pkey" in (plan := plan_of(store, Ledger.head)) or "SCAN records'" in plan, plan


def test_the_rollout_journal_lives_beside_the_ledger(store: EvidenceStore, database_url: str) -> None:
    with Journal(database_url, "rollout") as journal:
        journal.write("start", "canary", 500)
        store.record(SUBJECT, "documents", {}, measurement(1))
        assert [entry.action for entry in journal.entries()] == ["start"]
    Ledger(database_url).close()
    assert verify_ledger(store).problem is None


def test_a_ledger_in_a_database_with_a_journal_is_made_all_the_same(database_url: str) -> None:
    with Journal(database_url, "rollout") as journal:
        journal.write("start", "canary", 500)
        Ledger(database_url).close()
        assert len(journal.entries()) == 1


def test_postgresql_is_asked_for_durable_commits_where_its_default_is_not(postgresql: Server) -> None:
    engine = open_database(postgresql.new_database() + "?options=-csynchronous_commit%3Doff")
    with writing(engine) as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "on"
    engine.dispose()


def test_a_wrong_password_is_one_line_without_the_password(postgresql: Server) -> None:
    with pytest.raises(LedgerError, match="password authentication failed") as refusal:
        Ledger(postgresql.url("postgres", password="not-this-one"))
    assert "\n" not in str(refusal.value)
    assert "not-this-one" not in str(refusal.value)


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    with pytest.raises(LedgerError, match="refused") as refusal:
        Ledger(f"postgresql+psycopg://gonogo:{PASSWORD}@127.0.0.1:1/ledger")
    assert "\n" not in str(refusal.value)
    assert PASSWORD not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://gonogo:hidden@host/ledger",
        "postgres://gonogo:hidden@host/ledger",
        "postgresql://gonogo:hid@hidden@host/ledger",
        "postgresql://gonogo:hidden@host:port/ledger",
        "postgresql+no-such://gonogo:hidden@host/ledger",
        "sqlite://",
    ],
)
def test_an_unusable_database_url_is_the_users_mistake_and_its_password_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="GONOGO_DATABASE_URL") as refusal:
        Ledger(url)
    assert "hid" not in str(refusal.value)
