"""One session as it was read, and what can keep a turn from being taken."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Row

from engines.conversation.memory import Turn
from engines.personas import Persona


class UnknownSession(Exception):
    """There is no such session for this user, or it has expired."""


class ClosedSession(Exception):
    """The session was closed, or has had its ten turns."""


class TurnInProgress(Exception):
    """Another turn of the same session was stored meanwhile."""


class TooManyWaiting(Exception):
    """More turns of one session wait than it may ever have, or one waited too long; it was not stored."""


class WrongCursor(Exception):
    """The place where a list is to go on is none that this service gave out."""


@dataclass(frozen=True)
class Session:
    """A session as it was read; ``ttl`` is how long it lives after each turn."""

    session_id: str
    user_id: str
    persona: Persona
    created_at: datetime
    last_activity: datetime
    expires_at: datetime
    closed_at: datetime | None
    turn_count: int
    ttl: timedelta
    uses_memory: bool

    @property
    def state(self) -> str:
        """``active``, ``completed`` or ``expired``: closed sessions stay completed, others expire."""
        if self.closed_at is not None:
            return "completed"
        return "expired" if self.expires_at <= datetime.now(UTC) else "active"


@dataclass(frozen=True)
class StoredTurn(Turn):
    """A turn, and when it was stored."""

    at: datetime


@dataclass(frozen=True)
class Page:
    """Some of a user's sessions, newest first; ``following`` names the next page, None on the last one."""

    sessions: tuple[Session, ...]
    total: int
    active: int
    following: str | None


def session_of(row: Row[tuple[object, ...]]) -> Session:
    """A row of the table of sessions."""
    return Session(
        session_id=row.session_id,
        user_id=row.user_id,
        persona=Persona(row.persona),
        created_at=_utc(row.created_at),
        last_activity=_utc(row.last_activity),
        expires_at=_utc(row.expires_at),
        closed_at=None if row.closed_at is None else _utc(row.closed_at),
        turn_count=row.turn_count,
        ttl=timedelta(seconds=row.ttl_s),
        uses_memory=row.uses_memory,
    )


def turn_of(row: Row[tuple[object, ...]]) -> StoredTurn:
    """A row of the table of turns."""
    return StoredTurn(row.number, row.user_message, row.response_text, _utc(row.at))


def live(session: Session) -> Session:
    """The session unless it has expired. Raises UnknownSession."""
    if session.state == "expired":
        raise UnknownSession
    return session


def _utc(at: datetime) -> datetime:
    """SQLite gives times back without their zone, PostgreSQL in the zone of the server."""
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
