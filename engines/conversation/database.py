"""The tables of conversations, and the database they are in: SQLite on one machine, PostgreSQL behind several."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateIndex, CreateTable

DEFAULT_POOL_SIZE = 10
WAIT_S = 5
"""Seconds that a connection, or a lock of SQLite, is waited for."""
_CONNECT_S = 3
# The server ends what the service no longer waits for, and a transaction that a dead process left open.
_POSTGRESQL_LIMITS = "-c statement_timeout=5000 -c lock_timeout=3000 -c idle_in_transaction_session_timeout=10000"
_SQLITE_PAGES_KB = 500
_SCHEMA_LOCK = 7_310_044_001
_DIALECTS = ("sqlite", "postgresql+psycopg")

metadata = MetaData()
sessions = Table(
    "ion_sessions",
    metadata,
    Column("session_id", String(64), primary_key=True),
    Column("user_id", String(128), nullable=False),
    Column("persona", String(16), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("last_activity", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("turn_count", Integer, nullable=False),
    Column("ttl_s", Integer, nullable=False),
    Column("uses_memory", Boolean, nullable=False),
    Index("ion_sessions_of_user", "user_id", "created_at"),
    Index("ion_sessions_expiry", "expires_at"),
)
turns = Table(
    "ion_turns",
    metadata,
    Column("session_id", ForeignKey("ion_sessions.session_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("user_message", Text, nullable=False),
    Column("response_text", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True)
class PoolUse:
    """``size`` connections at most, of which ``in_use`` are held by requests."""

    size: int
    in_use: int


def check_url(url: str) -> str:
    """The URL itself when sessions can be kept there. Raises ValueError; its text holds no password."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("expected the URL of a database, such as sqlite:////var/lib/ion/sessions.sqlite") from None
    if parsed.drivername not in _DIALECTS:
        raise ValueError(f"{parsed.drivername} is not known, expected one of {', '.join(_DIALECTS)}")
    if parsed.drivername == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("a database in memory would be another one for every connection, expected a file")
    return url


def open_database(url: str, pool_size: int = DEFAULT_POOL_SIZE) -> Engine:
    """A pool of at most ``pool_size`` connections; whoever finds none free within 5 s gets a SQLAlchemyError."""
    pool: dict[str, Any] = {
        "poolclass": QueuePool,
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": WAIT_S,
        "pool_use_lifo": True,  # no more connections than are needed at a time: each of SQLite's keeps its own pages
        "hide_parameters": True,  # an error that is logged must not hold what a user said
    }
    if not url.startswith("sqlite"):
        arguments = {"connect_timeout": _CONNECT_S, "options": _POSTGRESQL_LIMITS}
        return create_engine(url, **pool, pool_pre_ping=True, pool_recycle=1800, connect_args=arguments)
    engine = create_engine(url, **pool, connect_args={"timeout": WAIT_S})

    @event.listens_for(engine, "connect")
    def _set_up(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute(f"PRAGMA cache_size=-{_SQLITE_PAGES_KB}")  # the pages that the system keeps are as good
        cursor.close()

    return engine


def create_tables(engine: Engine, tables: MetaData = metadata) -> None:
    """Make what is missing; several processes may do so at the same time."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # its IF NOT EXISTS alone fails when two create at once
            connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
        for table in tables.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(CreateIndex(index, if_not_exists=True))


def pool_use(engine: Engine) -> PoolUse:
    """The pool as it is now."""
    assert isinstance(engine.pool, QueuePool)
    return PoolUse(engine.pool.size(), engine.pool.checkedout())
