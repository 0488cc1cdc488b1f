"""The database of ledger and rollouts: how SQLite and PostgreSQL are opened, locked and kept at the newest schema."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    JSON,
    URL,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError, SQLAlchemyError

from processes.errors import GonogoError, UsageError
from processes.wait import wait_for

HEAD_REVISION = "0003"
"""Alembic's newest revision, as a constant so that opening an up-to-date ledger does not import Alembic."""

VERSION_TABLE = "ledger_version"
"""Not Alembic's usual name: Prefect keeps its own revision under that one, maybe in the same database."""

metadata = MetaData()
records = Table(
    "records",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("record_id", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("chain", String(64), nullable=False),
    Column("subject", String(160), nullable=False),
    Column("collector", String(160), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("envelope", LargeBinary, nullable=True),  # retention removes it; the row stays
    UniqueConstraint("record_id", name="records_record_id_key"),
    UniqueConstraint("previous", name="records_previous_key"),
    Index("records_by_subject", "subject", "kind", "sequence"),
    Index("records_by_kind", "kind", "sequence"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("rollout_id", String(160), primary_key=True),
    Column("release", String(160), nullable=False),
    Column("subject", String(160), nullable=False),
    Column("plan_digest", String(64), nullable=False),
    Column("started_at", String(40), nullable=False),
    Column("notified", Integer, nullable=False),  # the last journal entry that was told
    Column("observation", JSON, nullable=False),  # what ticks have seen so far, except requests and users
    Index("rollouts_by_release", "release", "started_at"),
)
rollout_journal = Table(
    "rollout_journal",
    metadata,
    Column("rollout_id", String(160), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False),
    Column("action", String(32), nullable=False),
    Column("stage", String(160), nullable=False),
    Column("canary_slots", Integer, nullable=False),
    Column("detail", JSON, nullable=False),
)
rollout_requests = Table(
    "rollout_requests",
    metadata,
    Column("rollout_id", String(160), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)
rollout_users = Table(
    "rollout_users",
    metadata,
    Column("rollout_id", String(160), primary_key=True),
    Column("user_hash", String(64), primary_key=True),
)
rollout_exposures = Table(
    "rollout_exposures",
    metadata,
    Column("rollout_id", String(160), primary_key=True),
    Column("stage", String(160), primary_key=True),
    Column("user_hash", String(64), primary_key=True),
    Column("assigned", String(16), primary_key=True),  # a user with two is in both arms
)

_LOCK = 0x676F6E6F676F  # "gonogo"; PostgreSQL's advisory locks are numbers
_LOCK_POSTGRESQL = text(
    # Also makes the commit durable where the server's default is not, without weakening a stricter setting.
    "SELECT pg_advisory_xact_lock(:lock), set_config('synchronous_commit', "
    "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, "
    "true)"
).bindparams(lock=_LOCK)


class LedgerError(GonogoError):
    """The ledger's database cannot be used."""


def open_database(url: str) -> Engine:
    """The database at a SQLAlchemy URL, with the newest schema.

    Raises UsageError for an unusable URL; LedgerError when the database fails or was made by another gonogo.
    """
    engine = _engine(_parsed(url))
    try:
        with engine.connect() as connection:
            revision = _revision(connection)
        if revision is None:
            _migrate(engine)
        elif revision != HEAD_REVISION:
            _migrate(engine, revision)
    except SQLAlchemyError as error:
        engine.dispose()
        raise LedgerError(f"the ledger cannot be opened: {reason(error)}") from error
    except LedgerError:
        engine.dispose()
        raise
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds the ledger's one write lock from its first moment; readers are not kept waiting."""
    with engine.connect() as connection:
        connection = connection.execution_options(writes=True)
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(_LOCK_POSTGRESQL)
            yield connection


def reason(error: SQLAlchemyError) -> str:
    """What went wrong, in one line without statements and parameters."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # not repeated: it may hold a password
        raise UsageError("GONOGO_DATABASE_URL: not a usable database URL (postgresql://USER@HOST/DATABASE)") from None
    shown = parsed.render_as_string(hide_password=True)
    if "@" in (parsed.host or ""):
        raise UsageError("GONOGO_DATABASE_URL: write an @ in the password as %40")
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise UsageError(f"GONOGO_DATABASE_URL: not a usable database URL, SQLite and PostgreSQL are: {shown}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UsageError(f"GONOGO_DATABASE_URL: a ledger in memory keeps nothing: {shown}")
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        # pre_ping: a restarted server costs a new connection, not an append. READ COMMITTED: what is read under the
        # lock is what the writer before us left, whatever the server's default is.
        return create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED")
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        connection.execute("PRAGMA busy_timeout = 30000")
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """SQLite does not apply the busy time-out here when another process opens the same new file."""

    def switched() -> bool:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    wait_for(switched, what="the ledger's file, which another process holds", timeout_s=30, interval_s=0.01)


def _revision(connection: Connection) -> str | None:
    """The schema's revision; None when there is no table that says it."""
    query = f"SELECT version_num FROM {VERSION_TABLE}"
    try:
        revision: str | None = connection.exec_driver_sql(query).scalar()
    except (OperationalError, ProgrammingError):
        connection.rollback()
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        connection.rollback()
        revision = connection.exec_driver_sql(query).scalar()  # it has just been made, or fails for another reason
    return revision


def _migrate(engine: Engine, revision: str | None = None) -> None:
    """Bring the schema to the newest revision, one process at a time."""
    from evidence.migrations.upgrade import known_revisions, upgrade  # slow to import, and rarely needed

    if revision is not None and revision not in known_revisions():
        raise LedgerError(f"the ledger was made by a newer gonogo (schema {_printable(revision)}): use that one")
    with writing(engine) as connection:
        tables = set(inspect(connection).get_table_names())
        if VERSION_TABLE not in tables and records.name in tables:
            raise LedgerError(
                "the ledger was made by an older gonogo, whose chain this one cannot verify: "
                "keep it with that version and start a new home (--home) or database"
            )
        upgrade(connection)


def _printable(revision: str) -> str:
    return re.sub(r"[^0-9A-Za-z_.-]", "?", revision)[:32]
