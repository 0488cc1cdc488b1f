"""What a rollout decided and did: every entry is committed before it is carried out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Integer, MetaData, String, Table, create_engine, insert, select

_metadata = MetaData()
_journal = Table(
    "rollout_journal",
    _metadata,
    Column("sequence", Integer, primary_key=True),
    Column("rollout_id", String(128), nullable=False, index=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("action", String(32), nullable=False),
    Column("stage", String(64), nullable=False),
    Column("canary_slots", Integer, nullable=False),
    Column("detail", JSON, nullable=False),
)


@dataclass(frozen=True)
class Entry:
    """One entry: from here on ``canary_slots`` of 10,000 slots may see the canary, and not more."""

    sequence: int
    at: datetime
    action: str
    stage: str
    canary_slots: int
    detail: dict[str, Any]


class Journal:
    """The journal of one rollout, in SQL."""

    def __init__(self, database_url: str, rollout_id: str) -> None:
        self._engine = create_engine(database_url)
        self._rollout_id = rollout_id
        _metadata.create_all(self._engine)

    def __enter__(self) -> "Journal":
        """Open it."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._engine.dispose()

    def write(self, action: str, stage: str, canary_slots: int, **detail: Any) -> None:
        """Commit an entry; what it says is done afterwards, never before."""
        values = {"rollout_id": self._rollout_id, "at": datetime.now(UTC), "detail": detail}
        with self._engine.begin() as connection:
            connection.execute(insert(_journal).values(action=action, stage=stage, canary_slots=canary_slots, **values))

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        mine = select(_journal).where(_journal.c.rollout_id == self._rollout_id).order_by(_journal.c.sequence)
        with self._engine.connect() as connection:
            return [
                Entry(row.sequence, row.at, row.action, row.stage, row.canary_slots, row.detail)
                for row in connection.execute(mine)
            ]
