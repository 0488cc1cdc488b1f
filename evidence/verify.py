"""Recompute everything that a ledger claims: hashes, chain, signatures, attachments."""

import hashlib
from dataclasses import dataclass

from evidence.ledger import GENESIS, Row, chain_hash
from evidence.record import Record
from evidence.store import EvidenceStore
from processes.errors import IntegrityError


@dataclass(frozen=True)
class Verification:
    """What was recomputed, and the first thing that does not fit (None when all fits)."""

    records: int
    attachments: int
    problem: str | None


def verify_ledger(store: EvidenceStore) -> Verification:
    """Verify every row in order and stop at the first that does not fit."""
    previous, count, attachments = GENESIS, 0, 0
    for row in store.ledger.rows():
        try:
            _verify_place(row, expected_sequence=count + 1, previous=previous)
            record = store.read(row)
            _verify_columns(row, record)
            for attachment in record.attachments:
                content = store.attachments.get(attachment.sha256)
                if len(content) != attachment.size_bytes:
                    raise IntegrityError(f"attachment {attachment.name} has another size")
                attachments += 1
        except IntegrityError as error:
            problem = f"record {row.sequence} ({row.record_id[:12]}, {row.collector}): {error}"
            return Verification(count, attachments, problem)
        previous, count = row.chain, count + 1
    return Verification(count, attachments, None if count else "the ledger holds no record: nothing is shown by it")


def _verify_place(row: Row, *, expected_sequence: int, previous: str) -> None:
    if row.sequence != expected_sequence:
        raise IntegrityError(f"records {expected_sequence} to {row.sequence - 1} are missing")
    if row.previous != previous:
        raise IntegrityError("does not follow the record before it")
    if row.record_id != hashlib.sha256(row.envelope).hexdigest():
        raise IntegrityError("its content was changed")
    if row.chain != chain_hash(previous, row.envelope):
        raise IntegrityError("its chain hash was changed")


def _verify_columns(row: Row, record: Record) -> None:
    if (row.subject, row.collector, row.kind) != (record.subject.digest, record.collector, record.kind):
        raise IntegrityError("the ledger files it under another subject, collector or kind than it states")
