"""Retention removes content and never breaks the chain, on SQLite and on PostgreSQL."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from evidence.attachments import AttachmentStore
from evidence.database import writing
from evidence.measurement import AttachmentContent
from evidence.prune import prune
from evidence.record import Record
from evidence.results import RetentionResult
from evidence.store import EvidenceStore
from evidence.verify import verify_ledger
from processes.errors import IntegrityError
from tests.unit.evidence.conftest import SUBJECT, measurement

NOW = datetime.now(UTC)
YEAR_AGO = NOW - timedelta(days=365)


def add(store: EvidenceStore, number: int, *, days_old: float, content: str | None = None) -> Record:
    made = measurement(number)
    time = NOW - timedelta(days=days_old)
    attached = [AttachmentContent("log", "text/plain", (content or f"content {number}").encode())]
    return store.record(
        SUBJECT, "documents", {}, replace(made, started_at=time, finished_at=time, attachments=attached)
    )


@dataclass(frozen=True)
class Fails(AttachmentStore):
    """Attachments whose removal is cut off after a number of files."""

    after: int = 0

    def remove(self, digest: str) -> bool:
        if self.after == len(removed_files):
            raise KeyboardInterrupt
        removed_files.append(digest)
        return super().remove(digest)


removed_files: list[str] = []


def files(store: EvidenceStore) -> int:
    return sum(path.is_file() for path in Path(store.attachments.url).rglob("*"))


def test_old_records_lose_their_content_and_the_chain_stays_whole(store: EvidenceStore) -> None:
    old = [add(store, n, days_old=400 + n) for n in range(3)]
    new = [add(store, n, days_old=n) for n in range(3, 5)]
    head = store.ledger.head()
    pruned = prune(store, cutoff=YEAR_AGO, reason="kept for a year")
    assert [record.record_id for record in pruned.records] == [record.record_id for record in old]
    assert (pruned.attachments, files(store)) == (3, 2)
    rows = list(store.ledger.rows())
    assert [row.envelope is None for row in rows] == [True] * 3 + [False] * 3
    verification = verify_ledger(store)
    assert (verification.problem, verification.records, verification.removed) == (None, 6, 3)
    assert store.records(SUBJECT.digest) == (new, [])

    signed = store.read(rows[-1])
    assert head is not None
    assert signed.subject.digest == f"sha256:{head.chain}"
    assert isinstance(signed.result, RetentionResult)
    assert (signed.result.reason, signed.result.attachments_removed) == ("kept for a year", 3)
    assert [record.record_id for record in signed.result.removed] == [record.record_id for record in old]


def test_nothing_is_recorded_when_nothing_is_old(store: EvidenceStore) -> None:
    add(store, 1, days_old=1)
    assert prune(store, cutoff=YEAR_AGO, reason="again").records == ()
    assert verify_ledger(store).records == 1


def test_an_attachment_that_a_newer_record_names_stays(store: EvidenceStore) -> None:
    add(store, 1, days_old=400, content="shared")
    kept = add(store, 2, days_old=1, content="shared")
    assert prune(store, cutoff=YEAR_AGO, reason="old").attachments == 0
    assert store.attachments.get(kept.attachments[0].sha256) == b"shared"
    assert verify_ledger(store).problem is None


def test_a_removal_is_itself_never_removed(store: EvidenceStore) -> None:
    add(store, 1, days_old=400)
    prune(store, cutoff=YEAR_AGO, reason="old")
    assert prune(store, cutoff=NOW + timedelta(days=1), reason="all").records == ()
    assert verify_ledger(store).problem is None


@pytest.mark.parametrize("after", [0, 1, 150, 219])
def test_a_removal_that_was_cut_off_is_intact_and_finished_by_the_next(store: EvidenceStore, after: int) -> None:
    old = [add(store, n, days_old=400) for n in range(220)]
    removed_files.clear()
    with pytest.raises(KeyboardInterrupt):
        prune(replace(store, attachments=Fails(store.attachments.url, after)), cutoff=YEAR_AGO, reason="old")
    assert verify_ledger(store).problem is None
    finishing = prune(store, cutoff=YEAR_AGO, reason="again")
    assert finishing.recorded == ()
    assert finishing.finished == len(finishing.records) == 220 - after // 100 * 100
    verification = verify_ledger(store)
    assert (verification.problem, verification.removed, files(store)) == (None, len(old), 0)


def test_content_that_a_concurrent_writer_takes_up_again_is_not_lost(store: EvidenceStore) -> None:
    old = add(store, 1, days_old=400, content="again")

    class Meanwhile(AttachmentStore):
        """Stores the same content, has it removed by retention, and only then appends its record."""

        def put(self, content: bytes) -> str:
            digest = super().put(content)
            if not store.removed():
                prune(store, cutoff=YEAR_AGO, reason="old")
            return digest

    add(replace(store, attachments=Meanwhile(store.attachments.url)), 2, days_old=1, content="again")
    assert store.attachments.get(old.attachments[0].sha256) == b"again"
    assert verify_ledger(store).problem is None


def test_a_removed_row_cannot_be_filed_elsewhere(store: EvidenceStore) -> None:
    add(store, 1, days_old=400)
    prune(store, cutoff=YEAR_AGO, reason="old")
    for column in ("subject", "collector", "kind", "record_id", "previous", "chain"):
        (row, *_) = store.ledger.rows()
        with writing(store.ledger.engine) as connection:
            changing = text(f"UPDATE records SET {column} = :value WHERE sequence = 1")
            connection.execute(changing, {"value": "f" * 40})
        assert (verify_ledger(store).problem or "").startswith("record 1 "), column
        with writing(store.ledger.engine) as connection:
            connection.execute(changing, {"value": vars(row)[column]})
    assert verify_ledger(store).problem is None


def test_a_removal_that_a_stranger_signed_excuses_nothing(store: EvidenceStore) -> None:
    add(store, 1, days_old=400)
    with pytest.raises(IntegrityError, match="trusted"):
        prune(replace(store, key=Ed25519PrivateKey.generate()), cutoff=YEAR_AGO, reason="to hide it")
    (old, signed) = store.ledger.rows()
    assert old.envelope is not None
    assert signed.kind == "retention"
    with writing(store.ledger.engine) as connection:
        connection.execute(text("UPDATE records SET envelope = NULL WHERE sequence = 1"))
    assert "record 1 " in (verify_ledger(store).problem or "")
    assert store.records(SUBJECT.digest)[1] == [old.record_id]


def test_nothing_is_removed_from_a_ledger_with_a_record_that_does_not_verify(store: EvidenceStore) -> None:
    add(store, 1, days_old=400)
    replaced = replace(store, key=Ed25519PrivateKey.generate())
    add(replaced, 2, days_old=1)
    with pytest.raises(IntegrityError, match="nothing is removed: record 2 "):
        prune(store, cutoff=YEAR_AGO, reason="old")
    assert all(row.envelope is not None for row in store.ledger.rows())
