"""Sessions of conversations in SQL: sliding expiry, three states, ids that cannot be guessed."""

import base64
import binascii
import secrets
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from engines.conversation.database import (
    DEFAULT_POOL_SIZE,
    PoolUse,
    create_tables,
    open_database,
    pool_use,
    sessions,
    turns,
)
from engines.conversation.database_calls import DatabaseCalls
from engines.conversation.memory import MOST_TURNS
from engines.conversation.session import (
    ClosedSession,
    Page,
    Session,
    StoredTurn,
    TurnInProgress,
    UnknownSession,
    WrongCursor,
    live,
    session_of,
    turn_of,
)
from engines.personas import Persona

DEFAULT_TTL_HOURS = 24.0
MOST_LISTED = 100
# An expired session is shown as such in its user's list for a day, and then gone.
_KEPT_EXPIRED = timedelta(hours=24)
_SWEPT_AT_ONCE = 500


class Sessions:
    """The store. Safe for several threads and processes on one database; ``calls`` runs its methods off the event loop.

    Every method raises SQLAlchemyError when the database does not answer.
    """

    def __init__(self, database_url: str | None = None, pool_size: int = DEFAULT_POOL_SIZE) -> None:
        self._folder = None if database_url else Path(tempfile.mkdtemp(prefix="ion-"))
        self.engine = open_database(database_url or f"sqlite:///{self._folder}/sessions.sqlite", pool_size)
        create_tables(self.engine)
        self.calls = DatabaseCalls(pool_size)

    def close(self) -> None:
        """Close the connections, and remove a database that was only this process's own."""
        self.engine.dispose()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def ready(self) -> None:
        """Ask the database something."""
        with self.engine.connect() as connection:
            connection.execute(select(sessions.c.session_id).limit(1)).all()

    def pool(self) -> PoolUse:
        """How many connections there are and are in use; asks the pool, not the database."""
        return pool_use(self.engine)

    def start(
        self, user_id: str, persona: Persona, ttl_hours: float = DEFAULT_TTL_HOURS, *, uses_memory: bool = True
    ) -> Session:
        """Open a session."""
        now, session_id, ttl = datetime.now(UTC), secrets.token_urlsafe(24), timedelta(hours=ttl_hours)
        values = {
            "session_id": session_id,
            "user_id": user_id,
            "persona": persona.value,
            "created_at": now,
            "last_activity": now,
            "expires_at": now + ttl,
            "closed_at": None,
            "turn_count": 0,
            "ttl_s": round(ttl.total_seconds()),
            "uses_memory": uses_memory,
        }
        with self.engine.begin() as connection:
            connection.execute(insert(sessions).values(**values))
            return _read(connection, session_id, None)

    def get(self, session_id: str, user_id: str | None = None) -> Session:
        """A session that has not expired; with ``user_id`` only this user's. Raises UnknownSession."""
        with self.engine.connect() as connection:
            return live(_read(connection, session_id, user_id))

    def turns(self, session_id: str) -> list[StoredTurn]:
        """The turns of a session, first to last; at most ten."""
        query = select(turns).where(turns.c.session_id == session_id).order_by(turns.c.number)
        with self.engine.connect() as connection:
            return [turn_of(row) for row in connection.execute(query)]

    def add_turn(self, session: Session, user_message: str, response_text: str) -> StoredTurn:
        """Store the turn that follows those of ``session`` as it was read, and move its expiry on.

        Raises TurnInProgress when another turn came between, ClosedSession when there may be no more: closed, expired
        or full. Of several who add the same turn the database lets one through, in whichever processes they are.
        """
        now, number = datetime.now(UTC), session.turn_count + 1
        if session.state != "active" or number > MOST_TURNS:
            raise ClosedSession
        moved = (
            update(sessions)
            .where(sessions.c.session_id == session.session_id, sessions.c.turn_count == session.turn_count)
            .where(_open(now))
            .values(turn_count=number, last_activity=now, expires_at=now + session.ttl)
        )
        with self.engine.begin() as connection:
            if connection.execute(moved).rowcount != 1:
                raise TurnInProgress
            texts = {"user_message": user_message, "response_text": response_text}
            connection.execute(insert(turns).values(session_id=session.session_id, number=number, at=now, **texts))
        return StoredTurn(number, user_message, response_text, now)

    def finish(self, session_id: str, user_id: str | None = None, *, keep_turns: bool = True) -> Session:
        """Close a session; closing it twice changes nothing. Raises UnknownSession.

        Without ``keep_turns`` what was said is removed; how many turns there were is kept.
        """
        now = datetime.now(UTC)
        self.get(session_id, user_id)
        with self.engine.begin() as connection:
            # First, so that no turn can come between this and the removal of all turns.
            connection.execute(
                update(sessions).where(sessions.c.session_id == session_id, _open(now)).values(closed_at=now)
            )
            if not keep_turns:
                connection.execute(delete(turns).where(turns.c.session_id == session_id))
        return self.get(session_id, user_id)

    def of_user(self, user_id: str, limit: int = MOST_LISTED, after: str | None = None) -> Page:
        """A page of a user's sessions, newest first. Raises WrongCursor for an ``after`` that no page gave."""
        mine = sessions.c.user_id == user_id
        newest = select(sessions).where(mine).order_by(sessions.c.created_at.desc(), sessions.c.session_id.desc())
        if after is not None:
            at, session_id = _decoded(after)
            same_time = and_(sessions.c.created_at == at, sessions.c.session_id < session_id)
            newest = newest.where(or_(sessions.c.created_at < at, same_time))
        counted = select(func.count()).select_from(sessions).where(mine)
        with self.engine.connect() as connection:
            found = [session_of(row) for row in connection.execute(newest.limit(limit + 1))]
            total = connection.execute(counted).scalar_one()
            active = connection.execute(counted.where(_open(datetime.now(UTC)))).scalar_one()
        shown = tuple(found[:limit])
        return Page(shown, total, active, _encoded(shown[-1]) if len(found) > limit else None)

    def active(self) -> int:
        """How many sessions are open and have not expired."""
        query = select(func.count()).select_from(sessions).where(_open(datetime.now(UTC)))
        with self.engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def sweep(self, now: datetime | None = None) -> int:
        """Remove what expired more than a day ago, 500 at a time, and say how many sessions that were.

        Several processes may sweep at the same time: none waits for rows that another one removes.
        """
        gone = sessions.c.expires_at < (now or datetime.now(UTC)) - _KEPT_EXPIRED
        some = select(sessions.c.session_id).where(gone).limit(_SWEPT_AT_ONCE).with_for_update(skip_locked=True)
        removed = 0
        while True:
            with self.engine.begin() as connection:
                ids = connection.execute(some).scalars().all()
                connection.execute(delete(turns).where(turns.c.session_id.in_(ids)))
                removed += connection.execute(delete(sessions).where(sessions.c.session_id.in_(ids))).rowcount
            if len(ids) < _SWEPT_AT_ONCE:
                return removed


def _open(now: datetime) -> ColumnElement[bool]:
    return and_(sessions.c.closed_at.is_(None), sessions.c.expires_at > now)


def _read(connection: Connection, session_id: str, user_id: str | None) -> Session:
    query = select(sessions).where(sessions.c.session_id == session_id)
    if user_id is not None:
        query = query.where(sessions.c.user_id == user_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownSession
    return session_of(row)


def _encoded(session: Session) -> str:
    text = f"{session.created_at.isoformat()} {session.session_id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _decoded(cursor: str) -> tuple[datetime, str]:
    try:
        at, _, session_id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").partition(" ")
        when = datetime.fromisoformat(at)
        if when.tzinfo is None or not session_id.isprintable():
            raise WrongCursor
        return when.astimezone(UTC), session_id
    except (ValueError, OverflowError, binascii.Error) as error:
        raise WrongCursor from error
