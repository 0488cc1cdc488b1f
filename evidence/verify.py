"""Recompute everything that a ledger claims: hashes, chain, signatures, attachments, and what retention removed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from evidence.ledger import GENESIS, Row, chain_hash
from evidence.results import RemovedRecord
from evidence.retention import was_removed
from evidence.store import EvidenceStore
from processes.errors import IntegrityError


@dataclass(frozen=True)
class Verification:
    """What was recomputed, and the first thing that does not fit (None when all fits).

    ``removed`` of the ``records`` have lost their content to retention: only their place in the chain was recomputed.
    """

    records: int
    removed: int
    attachments: int
    problem: str | None


def verify_ledger(store: EvidenceStore) -> Verification:
    """Verify every row in order and stop at the first that does not fit."""
    named = store.removed()  # before the rows: the record that names a removal comes after what it removed
    previous, count, removed, attachments = GENESIS, 0, 0, 0
    for row in store.ledger.rows():
        try:
            _verify_place(row, expected_sequence=count + 1, previous=previous)
            if row.envelope is None and was_removed(row, named):
                removed += 1
            else:
                attachments += _verify_content(store, row, named)
        except IntegrityError as error:
            problem = f"record {row.sequence} ({row.record_id[:12]}, {row.collector}): {error}"
            return Verification(count, removed, attachments, problem)
        previous, count = row.chain, count + 1
    nothing = "the ledger holds no record: nothing is shown by it"
    return Verification(count, removed, attachments, None if count else nothing)


def _verify_place(row: Row, *, expected_sequence: int, previous: str) -> None:
    if row.sequence != expected_sequence:
        raise IntegrityError(f"records {expected_sequence} to {row.sequence - 1} are missing")
    if row.previous != previous:
        raise IntegrityError("does not follow the record before it")
    if row.envelope is not None and row.record_id != hashlib.sha256(row.envelope).hexdigest():
        raise IntegrityError("its content was changed")
    if row.chain != chain_hash(previous, row.record_id):
        raise IntegrityError("its chain hash was changed")


def _verify_content(store: EvidenceStore, row: Row, named: Mapping[str, RemovedRecord]) -> int:
    """Verify signature, columns and attachments, and return how many attachments there were."""
    record = store.read(row)
    if was_removed(row, named):
        return 0  # a removal that was cut off: its attachments may be gone already
    for attachment in record.attachments:
        content = store.attachments.get(attachment.sha256)
        if len(content) != attachment.size_bytes:
            raise IntegrityError(f"attachment {attachment.name} has another size")
    return len(record.attachments)
