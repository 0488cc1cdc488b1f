"""What a rollout decided and did: every entry is committed before it is carried out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from evidence.database import LedgerError, open_database, reason, writing
from evidence.database import rollout_journal as _journal
from processes.errors import GonogoError


class JournalMovedOn(GonogoError):
    """Somebody else wrote into the journal of this rollout since it was read."""


@dataclass(frozen=True)
class Entry:
    """One entry: from here on ``canary_slots`` of 10,000 slots may see the canary, and not more."""

    number: int
    at: datetime
    action: str
    stage: str
    canary_slots: int
    detail: dict[str, Any]


def entry_of(row: Row[Any]) -> Entry:
    """The entry of a row of the journal."""
    at = datetime.fromisoformat(row.at)
    return Entry(row.number, at, row.action, row.stage, row.canary_slots, row.detail)


@dataclass(frozen=True)
class Draft:
    """An entry that is to be written."""

    action: str
    stage: str
    canary_slots: int
    detail: dict[str, Any] = field(default_factory=dict)


class Journal:
    """The journal of one rollout, in the ledger's database.

    Raises UsageError for an unusable URL, LedgerError when the database fails.
    """

    def __init__(self, database_url: str, rollout_id: str) -> None:
        self.engine = open_database(database_url)
        self.rollout_id = rollout_id

    def __enter__(self) -> "Journal":
        """Open it."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.engine.dispose()

    def write(self, action: str, stage: str, canary_slots: int, **detail: Any) -> None:
        """Commit an entry; what it says is done afterwards, never before."""
        self.append([Draft(action, stage, canary_slots, detail)], at=datetime.now(UTC))

    def append(self, drafts: Sequence[Draft], *, at: datetime, after: int | None = None) -> list[Entry]:
        """Commit entries together. Raises JournalMovedOn when the last one is no longer number ``after``."""
        last_one = select(func.coalesce(func.max(_journal.c.number), 0)).where(_journal.c.rollout_id == self.rollout_id)
        try:
            with writing(self.engine) as connection:
                last = int(connection.execute(last_one).scalar_one())
                if after is not None and last != after:
                    raise JournalMovedOn("the rollout went on meanwhile: its journal has newer entries")
                entries = [Entry(last + n, at, **vars(draft)) for n, draft in enumerate(drafts, start=1)]
                rows = [vars(e) | {"at": e.at.isoformat(), "rollout_id": self.rollout_id} for e in entries]
                connection.execute(insert(_journal), rows)
        except IntegrityError as error:
            raise JournalMovedOn("the rollout went on meanwhile: its journal has newer entries") from error
        except SQLAlchemyError as error:
            raise LedgerError(f"the journal refused an entry: {reason(error)}") from error
        return entries

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        mine = select(_journal).where(_journal.c.rollout_id == self.rollout_id).order_by(_journal.c.number)
        try:
            with self.engine.connect() as connection:
                return [entry_of(row) for row in connection.execute(mine)]
        except SQLAlchemyError as error:
            raise LedgerError(f"the journal cannot be read: {reason(error)}") from error
