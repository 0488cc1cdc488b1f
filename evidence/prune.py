"""Removes content of old records: signed and recorded first, then done; run again, it finishes what was cut off."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from evidence.ledger import Row
from evidence.measurement import Measurement
from evidence.record import Record, Subject
from evidence.results import RemovedRecord, RetentionResult
from evidence.retention import Going, plan_removal, was_removed
from evidence.store import EvidenceStore
from processes.errors import IntegrityError

_NAMED_AT_ONCE = 1000
"""Records that one retention record names at most: about 300 KB."""

_REMOVED_AT_ONCE = 100
"""Records whose content is removed under one write lock: others append in between."""


@dataclass(frozen=True)
class Pruned:
    """What was removed. ``recorded`` holds the ids of the new retention records; ``finished`` counts records that an
    earlier, interrupted run had named."""

    records: tuple[RemovedRecord, ...]
    attachments: int
    recorded: tuple[str, ...]
    finished: int


def prune(store: EvidenceStore, *, cutoff: datetime, reason: str) -> Pruned:
    """Remove the content of records that ended before ``cutoff`` (aware), with attachments that nothing else names.

    Raises IntegrityError, before anything is removed, when a record of the ledger does not verify.
    """
    head = store.ledger.head()
    named = store.removed()
    removal = plan_removal(_readable(store, named), cutoff=cutoff, named=named)
    if head is None or not (removal.new or removal.unfinished):
        return Pruned((), 0, (), 0)
    attachments = _remove(store, removal.unfinished, after=head.sequence)
    recorded = []
    for batch in _batches(removal.new, _NAMED_AT_ONCE):
        recorded.append(_record(store, head, batch, cutoff=cutoff, reason=reason).record_id)
        attachments += _remove(store, batch, after=head.sequence)
    removed = tuple(going.record for going in (*removal.unfinished, *removal.new))
    return Pruned(removed, attachments, tuple(recorded), len(removal.unfinished))


def _readable(store: EvidenceStore, named: Mapping[str, RemovedRecord]) -> Iterator[Record]:
    for row in store.ledger.rows():
        if row.envelope is None and was_removed(row, named):
            continue
        try:
            yield store.read(row)
        except IntegrityError as error:
            raise IntegrityError(
                f"nothing is removed: record {row.sequence} ({row.record_id[:12]}): {error}"
            ) from error


def _record(store: EvidenceStore, head: Row, batch: Sequence[Going], *, cutoff: datetime, reason: str) -> Record:
    """Sign into the ledger what is about to be removed. Its subject is the ledger as it was planned on."""
    attachments = sum(len(going.attachments) for going in batch)
    now = datetime.now(UTC)
    measurement = Measurement(
        result=RetentionResult(
            cutoff=cutoff, reason=reason, removed=[going.record for going in batch], attachments_removed=attachments
        ),
        outcome="passed",
        summary=f"content of {len(batch)} records and {attachments} attachments removed: {reason}",
        started_at=now,
        finished_at=now,
    )
    return store.record(Subject("ledger", str(head.sequence), f"sha256:{head.chain}"), "retention", {}, measurement)


def _remove(store: EvidenceStore, items: Sequence[Going], *, after: int) -> int:
    """Attachments first: were the envelopes first, a crash in between would leave attachments that nobody knows."""
    count = 0
    for batch in _batches(items, _REMOVED_AT_ONCE):

        def remove_attachments(newer: list[Row], batch: Sequence[Going] = batch) -> None:
            nonlocal count
            taken_up = {a.sha256 for row in newer if row.envelope is not None for a in store.read(row).attachments}
            for going in batch:
                count += sum(store.attachments.remove(x) for x in going.attachments if x not in taken_up)

        store.ledger.remove_envelopes(
            [going.record.record_id for going in batch], after=after, first=remove_attachments
        )
    return count


def _batches(items: Sequence[Going], size: int) -> Iterator[Sequence[Going]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
