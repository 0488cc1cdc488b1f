"""Feedback in SQL, so that it outlives the process and teaches the next model of every process."""

import secrets
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from engines.personas import Persona
from engines.recommendation.interactions import Interaction
from engines.recommendation.receipts import SECRET_BYTES
from engines.resonance_key import ResonanceKey, parse

MOST_KEPT = 200_000
"""The newest feedback that is kept and learnt from."""

_SCHEMA_LOCK = 7_310_044_002

_metadata = MetaData()
_feedback = Table(
    "ion_feedback",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("recommendation_id", String(64), nullable=False, unique=True),
    Column("user_id", String(128), nullable=False),
    Column("persona", String(16), nullable=False),
    Column("resonance_key", String(64), nullable=False),
    Column("rating", Float, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    sqlite_autoincrement=True,  # a number is never given twice, whatever was removed
)

_secrets = Table(
    "ion_secrets",
    _metadata,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)


class AlreadyRated(Exception):
    """Other feedback was given on this recommendation before."""


class FeedbackStore:
    """The store. Safe for several threads and processes; its methods raise SQLAlchemyError when it does not answer.

    ``secret`` is the same for all processes on one database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":  # its IF NOT EXISTS alone fails when two create at once
                connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
            for table in _metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
        self.secret = self._shared_secret()

    def add(
        self, recommendation_id: str, user_id: str, persona: Persona, key: ResonanceKey, rating: float
    ) -> int | None:
        """Keep a rating from 0 to 1; returns its number, or None when the same was kept before. Raises AlreadyRated."""
        values = {
            "recommendation_id": recommendation_id,
            "user_id": user_id,
            "persona": persona.value,
            "resonance_key": str(key),
            "rating": rating,
            "at": datetime.now(UTC),
        }
        try:
            with self._engine.begin() as connection:
                added = insert(_feedback).values(**values).returning(_feedback.c.number)
                number: int = connection.execute(added).scalar_one()
                return number
        except IntegrityError:
            before = select(_feedback.c.rating).where(_feedback.c.recommendation_id == recommendation_id)
            with self._engine.connect() as connection:
                if connection.execute(before).scalar() != rating:
                    raise AlreadyRated from None
            return None

    @property
    def url(self) -> str:
        """The URL of the database, its password in it: for another process of ours alone."""
        return self._engine.url.render_as_string(hide_password=False)

    def _shared_secret(self) -> bytes:
        """What the ids of recommendations are proved with: made by the first process, read by all others."""
        mine = {"name": "recommendation-ids", "value": secrets.token_bytes(SECRET_BYTES)}
        known = select(_secrets.c.value).where(_secrets.c.name == mine["name"])
        with self._engine.connect() as connection:
            if (value := connection.execute(known).scalar()) is not None:
                return bytes(value)
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_secrets).values(**mine))
        except IntegrityError:
            pass  # another process was first: its secret is read
        with self._engine.connect() as connection:
            return bytes(connection.execute(known).scalar_one())

    def newest(self) -> int:
        """The number of the newest feedback; 0 when there is none."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.max(_feedback.c.number))).scalar() or 0

    def read(self) -> dict[int, Interaction]:
        """The newest feedback by its number, oldest first, as interactions to learn from."""
        query = select(_feedback).order_by(_feedback.c.number.desc()).limit(MOST_KEPT)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return _interactions(reversed(rows))

    def after(self, number: int, left_out: Collection[int], most: int) -> dict[int, Interaction]:
        """At most ``most`` of the feedback with higher numbers, and what there is of those ``left_out`` before."""
        wanted = or_(_feedback.c.number > number, _feedback.c.number.in_(list(left_out)))
        query = select(_feedback).where(wanted).order_by(_feedback.c.number).limit(most)
        with self._engine.connect() as connection:
            return _interactions(connection.execute(query).all())

    def forget(self) -> None:
        """Remove what is too old to be read."""
        oldest = select(_feedback.c.number).order_by(_feedback.c.number.desc()).limit(1).offset(MOST_KEPT - 1)
        with self._engine.begin() as connection:
            if (number := connection.execute(oldest).scalar()) is not None:
                connection.execute(delete(_feedback).where(_feedback.c.number < number))


def _interactions(rows: Iterable[Row[Any]]) -> dict[int, Interaction]:
    return {
        row.number: Interaction(row.user_id, Persona(row.persona), parse(row.resonance_key).key, row.rating)
        for row in rows
    }
