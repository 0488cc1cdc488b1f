"""Retention: which records lose their content. Their rows stay, so the chain never breaks. Pure; prune.py does it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from evidence.kinds import ACTS
from evidence.ledger import Row
from evidence.record import Record
from evidence.results import RemovedRecord

KEPT_KINDS = ACTS | {"decision", "retention"}
"""Acts of people, and what was decided, are kept for ever."""


@dataclass(frozen=True)
class Going:
    """A record that loses its content, and the attachments (sha256) that nothing names when it is gone."""

    record: RemovedRecord
    attachments: tuple[str, ...]


@dataclass(frozen=True)
class Removal:
    """``unfinished``: named by a retention record before, but still there; ``new``: to be named first."""

    unfinished: list[Going]
    new: list[Going]


def plan_removal(records: Iterable[Record], *, cutoff: datetime, named: Collection[str]) -> Removal:
    """Which of all records of a ledger go: those that ended before ``cutoff``, and those already ``named``.

    Kinds of KEPT_KINDS never go. An attachment goes with the last record that names it, unless one that stays does.
    """
    going: list[Record] = []
    staying: set[str] = set()
    for record in records:
        if record.kind not in KEPT_KINDS and (record.record_id in named or record.finished_at < cutoff):
            going.append(record)
        else:
            staying.update(attachment.sha256 for attachment in record.attachments)
    going.sort(key=lambda record: (record.record_id not in named, record.sequence))
    last = {attachment.sha256: record.record_id for record in going for attachment in record.attachments}
    planned = [
        Going(
            RemovedRecord(
                record_id=record.record_id,
                subject=record.subject.digest,
                collector=record.collector,
                kind=record.kind,
                finished_at=record.finished_at,
            ),
            tuple(sorted({a.sha256 for a in record.attachments if last[a.sha256] == record.record_id} - staying)),
        )
        for record in going
    ]
    unfinished = [item for item in planned if item.record.record_id in named]
    return Removal(unfinished, planned[len(unfinished) :])


def was_removed(row: Row, removed: Mapping[str, RemovedRecord]) -> bool:
    """Whether a retention record names this row, as the row itself describes what it held."""
    record = removed.get(row.record_id)
    return (
        record is not None
        and row.kind not in KEPT_KINDS
        and (record.subject, record.collector, record.kind) == (row.subject, row.collector, row.kind)
    )
