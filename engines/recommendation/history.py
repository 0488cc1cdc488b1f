"""The recommendations that users were given, in SQL.

They are written together once a second: one by one they would take longer than the recommendation itself.
"""

import threading
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Column, DateTime, Engine, Index, Integer, MetaData, String, Table, insert, select
from sqlalchemy.exc import SQLAlchemyError

from engines.conversation.database import create_tables
from engines.personas import Persona
from engines.resonance_key import ResonanceKey, parse
from engines.retention import keep_newest

MOST_KEPT = 500_000
MOST_SHOWN = 10
MOST_WAITING = 10_000

_metadata = MetaData()
_recommendations = Table(
    "ion_recommendations",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("user_id", String(128), nullable=False),
    Column("recommendation_id", String(64), nullable=False),
    Column("persona", String(16), nullable=False),
    Column("resonance_key", String(64), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ion_recommendations_of_user", "user_id", "number"),
    sqlite_autoincrement=True,
)


class Made(NamedTuple):
    """A recommendation as it is remembered: a plain tuple, of which there are many."""

    recommendation_id: str
    persona: Persona
    key: ResonanceKey
    model_version: str
    at: datetime


class History:
    """The newest 500,000 recommendations of all users. Safe for several threads and processes.

    At most 10,000 wait to be written; of more, while the database is away, the oldest are lost and counted in ``lost``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[tuple[str, Made]] = deque(maxlen=MOST_WAITING)
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self.lost = 0
        create_tables(engine, _metadata)

    def add(self, user_id: str, recommendation_id: str, persona: Persona, key: ResonanceKey, model: str) -> None:
        """Remember a recommendation. Asks no database."""
        with self._lock:
            self.lost += len(self._waiting) == MOST_WAITING
            self._waiting.append((user_id, Made(recommendation_id, persona, key, model, datetime.now(UTC))))

    def flush(self) -> None:
        """Write what waits. Raises SQLAlchemyError; then it waits on."""
        with self._writing:
            with self._lock:
                batch = list(self._waiting)
                self._waiting.clear()
            if not batch:
                return
            try:
                self._write(batch)
            except SQLAlchemyError:
                with self._lock:
                    self.lost += max(0, len(batch) + len(self._waiting) - MOST_WAITING)
                    self._waiting = deque([*batch, *self._waiting], maxlen=MOST_WAITING)
                raise

    def _write(self, batch: list[tuple[str, Made]]) -> None:
        rows = [
            {
                "user_id": user_id,
                "recommendation_id": made.recommendation_id,
                "persona": made.persona.value,
                "resonance_key": str(made.key),
                "model_version": made.model_version,
                "at": made.at,
            }
            for user_id, made in batch
        ]
        with self._engine.begin() as connection:
            connection.execute(insert(_recommendations), rows)
        with self._engine.begin() as connection:
            keep_newest(connection, _recommendations, MOST_KEPT)

    def of_user(self, user_id: str) -> list[Made]:
        """The last ten of a user, newest first, those of this process without delay. Raises SQLAlchemyError."""
        self.flush()
        table = _recommendations
        query = select(table).where(table.c.user_id == user_id).order_by(table.c.number.desc()).limit(MOST_SHOWN)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Made(row.recommendation_id, Persona(row.persona), parse(row.resonance_key).key, row.model_version, row.at)
            for row in rows
        ]
