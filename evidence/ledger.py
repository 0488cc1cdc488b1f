"""The ledger: an append-only, hash-chained table of signed records in SQLite or PostgreSQL.

A record's id is sha256(envelope), and each row's ``chain`` is sha256(previous chain || record id), both as hex; the
first row follows 64 zeros. So the chain can be checked from the ids alone, also after retention removed envelopes.
Appends take the one write lock first, so that concurrent writers never fork the chain.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from evidence.database import LedgerError, open_database, reason, records, writing

GENESIS = "0" * 64

_LAST = select(records.c.sequence, records.c.chain).order_by(records.c.sequence.desc()).limit(1)
_APPEND = insert(records)
_ALL = select(records).order_by(records.c.sequence)
_EMPTY = update(records).where(records.c.record_id == bindparam("removed")).values(envelope=None)


@dataclass(frozen=True)
class Row:
    """One row of the ledger, as stored. ``envelope`` is None after retention removed it."""

    sequence: int
    record_id: str
    previous: str
    chain: str
    subject: str
    collector: str
    kind: str
    envelope: bytes | None


def chain_hash(previous: str, record_id: str) -> str:
    """The hash that the next row must name as its previous one: sha256 over both hex texts."""
    return hashlib.sha256(f"{previous}{record_id}".encode()).hexdigest()


class Ledger:
    """The ledger at a SQLAlchemy URL. Raises UsageError for an unusable URL, LedgerError when the database fails."""

    def __init__(self, url: str) -> None:
        self.engine = open_database(url)

    def append(self, envelope: bytes, *, subject: str, collector: str, kind: str) -> Row:
        """Append one signed envelope. It is durable when this returns."""
        record_id = hashlib.sha256(envelope).hexdigest()
        try:
            with writing(self.engine) as connection:
                last = connection.execute(_LAST).first()
                sequence, previous = (last.sequence + 1, last.chain) if last else (1, GENESIS)
                chain = chain_hash(previous, record_id)
                row = Row(sequence, record_id, previous, chain, subject, collector, kind, envelope)
                connection.execute(_APPEND, vars(row))
        except SQLAlchemyError as error:
            raise LedgerError(f"the ledger refused a record: {reason(error)}") from error
        return row

    def head(self) -> Row | None:
        """The newest row."""
        newest = list(self._select(_ALL.order_by(None).order_by(records.c.sequence.desc()).limit(1)))
        return newest[0] if newest else None

    def rows(self, *, subject: str | None = None, kind: str | None = None) -> Iterator[Row]:
        """Rows in order: all, or those of one subject's digest, of one kind, or of both."""
        query = _ALL
        if subject is not None:
            query = query.where(records.c.subject == subject)
        if kind is not None:
            query = query.where(records.c.kind == kind)
        return self._select(query)

    def newest(self, collectors: Collection[str]) -> Iterator[Row]:
        """The newest row of each subject and collector among ``collectors``, newest first."""
        named = records.c.collector.in_(list(collectors))
        last = select(func.max(records.c.sequence)).where(named).group_by(records.c.subject, records.c.collector)
        return self._select(_ALL.where(records.c.sequence.in_(last)).order_by(None).order_by(records.c.sequence.desc()))

    def find(self, record: str) -> list[Row]:
        """The row with this number, or else those whose id begins so: at most two, for two are one too many."""
        if re.fullmatch("[0-9]{1,9}", record):
            rows = list(self._select(_ALL.where(records.c.sequence == int(record))))
            if rows:
                return rows
        if not re.fullmatch("[0-9a-f]{1,64}", record):
            return []
        # A range and no LIKE: it uses the index of the ids in both databases. "g" follows all hex digits.
        named = _ALL.where(records.c.record_id >= record, records.c.record_id < record + "g")
        return list(self._select(named.order_by(None).order_by(records.c.record_id).limit(2)))

    def remove_envelopes(self, record_ids: Collection[str], *, after: int, first: Callable[[list[Row]], None]) -> None:
        """Remove the envelopes of these records; their rows stay.

        ``first`` is called under the write lock with the rows that came after number ``after``.
        """
        try:
            with writing(self.engine) as connection:
                first([Row(*row) for row in connection.execute(_ALL.where(records.c.sequence > after))])
                connection.execute(_EMPTY, [{"removed": record_id} for record_id in record_ids])
        except SQLAlchemyError as error:
            raise LedgerError(f"the ledger cannot remove records: {reason(error)}") from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _select(self, query: Select[tuple[Any, ...]]) -> Iterator[Row]:
        try:
            with self.engine.connect() as connection:
                for row in connection.execution_options(yield_per=500).execute(query):
                    yield Row(*row)
        except SQLAlchemyError as error:
            raise LedgerError(f"the ledger cannot be read: {reason(error)}") from error
