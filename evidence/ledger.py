"""The ledger: an append-only, hash-chained table of signed records in SQLite or PostgreSQL.

Each row's ``chain`` is sha256(previous chain || envelope); the first row follows 64 zeros. Appends take the table's
write lock first, so that concurrent writers never fork the chain.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from processes.errors import GonogoError, UsageError

GENESIS = "0" * 64

_metadata = MetaData()
_records = Table(
    "records",
    _metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("record_id", String(64), nullable=False, unique=True),
    Column("previous", String(64), nullable=False, unique=True),
    Column("chain", String(64), nullable=False),
    Column("subject", String(160), nullable=False, index=True),
    Column("collector", String(160), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("envelope", LargeBinary, nullable=False),
)


class LedgerError(GonogoError):
    """The ledger's database cannot be used."""


@dataclass(frozen=True)
class Row:
    """One row of the ledger, as stored."""

    sequence: int
    record_id: str
    previous: str
    chain: str
    subject: str
    collector: str
    kind: str
    envelope: bytes


def chain_hash(previous: str, envelope: bytes) -> str:
    """The hash that the next row must name as its previous one."""
    return hashlib.sha256(previous.encode() + envelope).hexdigest()


class Ledger:
    """The ledger at a SQLAlchemy URL. Raises UsageError for an unusable URL, LedgerError when the database fails."""

    def __init__(self, url: str) -> None:
        try:
            self.engine = _engine(url)
            _metadata.create_all(self.engine)
        except (ArgumentError, ModuleNotFoundError) as error:
            raise UsageError(f"GONOGO_DATABASE_URL: not a usable database URL: {url!r}") from error
        except SQLAlchemyError as error:
            raise LedgerError(f"the ledger cannot be opened: {_reason(error)}") from error

    def append(self, envelope: bytes, *, subject: str, collector: str, kind: str) -> Row:
        """Append one signed envelope. It is durable when this returns."""
        record_id = hashlib.sha256(envelope).hexdigest()
        try:
            with self.engine.begin() as connection:
                if self.engine.dialect.name == "postgresql":
                    connection.execute(text("LOCK TABLE records IN EXCLUSIVE MODE"))
                last = connection.execute(
                    select(_records.c.sequence, _records.c.chain).order_by(_records.c.sequence.desc()).limit(1)
                ).first()
                sequence, previous = (last.sequence + 1, last.chain) if last else (1, GENESIS)
                row = Row(
                    sequence, record_id, previous, chain_hash(previous, envelope), subject, collector, kind, envelope
                )
                connection.execute(insert(_records).values(**vars(row)))
        except SQLAlchemyError as error:
            raise LedgerError(f"the ledger refused a record: {_reason(error)}") from error
        return row

    def rows(self, *, subject: str | None = None) -> Iterator[Row]:
        """All rows in order, or those of one subject's digest."""
        query = select(_records).order_by(_records.c.sequence)
        if subject is not None:
            query = query.where(_records.c.subject == subject)
        try:
            with self.engine.connect() as connection:
                for row in connection.execution_options(yield_per=500).execute(query):
                    yield Row(**row._mapping)
        except SQLAlchemyError as error:
            raise LedgerError(f"the ledger cannot be read: {_reason(error)}") from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _durable(connection: Any, _: Any) -> None:
            connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
            connection.execute("PRAGMA busy_timeout = 30000")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")

        @event.listens_for(engine, "begin")
        def _lock_first(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
