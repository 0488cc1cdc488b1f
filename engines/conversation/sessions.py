"""Sessions of conversations in SQL: sliding expiry, three states, ids that cannot be guessed."""

import secrets
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from engines.conversation.memory import MOST_TURNS, Turn
from engines.personas import Persona

DEFAULT_TTL_HOURS = 24.0
MOST_LISTED = 100

_metadata = MetaData()
_sessions = Table(
    "ion_sessions",
    _metadata,
    Column("session_id", String(64), primary_key=True),
    Column("user_id", String(128), nullable=False, index=True),
    Column("persona", String(16), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("last_activity", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("turn_count", Integer, nullable=False),
    Column("ttl_s", Integer, nullable=False),
)
_turns = Table(
    "ion_turns",
    _metadata,
    Column("session_id", ForeignKey("ion_sessions.session_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("user_message", Text, nullable=False),
    Column("response_text", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)


class UnknownSession(Exception):
    """There is no such session for this user, or it has expired."""


class ClosedSession(Exception):
    """The session was closed, or has had its ten turns."""


class TurnInProgress(Exception):
    """Another turn of the same session was stored meanwhile."""


@dataclass(frozen=True)
class Session:
    """A session as it is now; ``state`` is active, completed or expired."""

    session_id: str
    user_id: str
    persona: Persona
    created_at: datetime
    last_activity: datetime
    expires_at: datetime
    closed_at: datetime | None
    turn_count: int

    @property
    def state(self) -> str:
        """Closed sessions stay completed; others expire."""
        if self.closed_at is not None:
            return "completed"
        return "expired" if self.expires_at <= datetime.now(UTC) else "active"


class Sessions:
    """The store. Safe for several threads and processes on one database."""

    def __init__(self, database_url: str | None = None) -> None:
        self._folder = None if database_url else Path(tempfile.mkdtemp(prefix="ion-"))
        self._engine = _open(database_url or f"sqlite:///{self._folder}/sessions.sqlite")
        _metadata.create_all(self._engine)

    def close(self) -> None:
        """Close the connections, and remove a database that was only this process's own."""
        self._engine.dispose()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def engine(self) -> Engine:
        """The database, for what else is kept there."""
        return self._engine

    def ready(self) -> bool:
        """Ask the database something. Raises SQLAlchemyError when it does not answer."""
        with self._engine.connect() as connection:
            return bool(connection.execute(select(1)).scalar_one() == 1)

    def start(self, user_id: str, persona: Persona, ttl_hours: float = DEFAULT_TTL_HOURS) -> Session:
        """Open a session."""
        now, session_id = datetime.now(UTC), secrets.token_urlsafe(24)
        values = {
            "session_id": session_id,
            "user_id": user_id,
            "persona": persona.value,
            "created_at": now,
            "last_activity": now,
            "expires_at": now + timedelta(hours=ttl_hours),
            "closed_at": None,
            "turn_count": 0,
            "ttl_s": round(ttl_hours * 3600),
        }
        with self._engine.begin() as connection:
            connection.execute(insert(_sessions).values(**values))
            return _session(_row(connection, session_id, None))

    def get(self, session_id: str, user_id: str | None = None) -> Session:
        """A session that has not expired; with ``user_id`` only this user's. Raises UnknownSession."""
        with self._engine.connect() as connection:
            return _live(_session(_row(connection, session_id, user_id)))

    def turns(self, session_id: str) -> list[Turn]:
        """The turns of a session, first to last."""
        query = select(_turns).where(_turns.c.session_id == session_id).order_by(_turns.c.number)
        with self._engine.connect() as connection:
            return [Turn(r.number, r.user_message, r.response_text) for r in connection.execute(query)]

    def add_turn(self, session: Session, user_message: str, response_text: str) -> Turn:
        """Store the turn that follows those of ``session`` as it was read, and move its expiry on.

        Raises TurnInProgress when another turn came between, ClosedSession when there may be no more.
        """
        now, number = datetime.now(UTC), session.turn_count + 1
        if session.state != "active" or number > MOST_TURNS:
            raise ClosedSession
        same = (
            (_sessions.c.session_id == session.session_id)
            & (_sessions.c.turn_count == session.turn_count)
            & _sessions.c.closed_at.is_(None)
        )
        try:
            with self._engine.begin() as connection:
                row = _row(connection, session.session_id, None)
                expires = now + timedelta(seconds=row.ttl_s)
                moved = update(_sessions).where(same)
                moved = moved.values(turn_count=number, last_activity=now, expires_at=expires)
                if connection.execute(moved).rowcount != 1:
                    raise TurnInProgress
                values = {"session_id": session.session_id, "number": number, "at": now}
                texts = {"user_message": user_message, "response_text": response_text}
                connection.execute(insert(_turns).values(**values, **texts))
        except IntegrityError as error:
            raise TurnInProgress from error
        return Turn(number, user_message, response_text)

    def finish(self, session_id: str, user_id: str | None = None) -> Session:
        """Close a session; closing it twice is fine. Raises UnknownSession."""
        session = self.get(session_id, user_id)
        if session.closed_at is None:
            with self._engine.begin() as connection:
                closed = update(_sessions).where(_sessions.c.session_id == session_id)
                connection.execute(closed.values(closed_at=datetime.now(UTC)))
        return self.get(session_id, user_id)

    def of_user(self, user_id: str) -> tuple[list[Session], int]:
        """The newest 100 sessions of a user, and how many there are."""
        mine = _sessions.c.user_id == user_id
        newest = select(_sessions).where(mine).order_by(_sessions.c.created_at.desc()).limit(MOST_LISTED)
        with self._engine.connect() as connection:
            total = connection.execute(select(func.count()).select_from(_sessions).where(mine)).scalar_one()
            return [_session(row) for row in connection.execute(newest)], total

    def active(self) -> int:
        """How many sessions are open and have not expired."""
        query = select(func.count()).select_from(_sessions).where(_sessions.c.closed_at.is_(None))
        with self._engine.connect() as connection:
            return connection.execute(query.where(_sessions.c.expires_at > datetime.now(UTC))).scalar_one()


def _open(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=5, max_overflow=5, pool_timeout=5, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": 5})

    @event.listens_for(engine, "connect")
    def _set_up(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    return engine


def _row(connection: Connection, session_id: str, user_id: str | None) -> Row[tuple[object, ...]]:
    query = select(_sessions).where(_sessions.c.session_id == session_id)
    if user_id is not None:
        query = query.where(_sessions.c.user_id == user_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownSession
    return row


def _session(row: Row[tuple[object, ...]]) -> Session:
    return Session(
        session_id=row.session_id,
        user_id=row.user_id,
        persona=Persona(row.persona),
        created_at=_utc(row.created_at),
        last_activity=_utc(row.last_activity),
        expires_at=_utc(row.expires_at),
        closed_at=None if row.closed_at is None else _utc(row.closed_at),
        turn_count=row.turn_count,
    )


def _utc(at: datetime) -> datetime:
    """SQLite gives times back without their zone."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _live(session: Session) -> Session:
    if session.state == "expired":
        raise UnknownSession
    return session
