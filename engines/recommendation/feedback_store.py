"""Feedback in SQL, so that it outlives the process and teaches the next model of every process."""

import secrets
from datetime import UTC, datetime

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
    Subquery,
    Table,
    delete,
    func,
    insert,
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

MOST_OF_A_USER = 100
"""The newest of one user: whoever rates without end moves nobody else's recommendations, and displaces no feedback."""

# Numbers are given when a transaction begins to write, and seen when it ends: a smaller one may come later.
_MAY_COME_LATER = 100
_MOST_AT_ONCE = 10_000

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
        ranked = _by_place_of_their_user()
        query = select(ranked).where(ranked.c.place <= MOST_OF_A_USER).order_by(ranked.c.number.desc())
        with self._engine.connect() as connection:
            rows = connection.execute(query.limit(MOST_KEPT)).all()
        return {row.number: _interaction_of(row) for row in reversed(rows)}

    def since(self, number: int) -> dict[int, Interaction]:
        """Feedback after a number, oldest first and 10,000 at most, and the hundred numbers before it once more."""
        after = _feedback.c.number > number - _MAY_COME_LATER
        query = select(_feedback).where(after).order_by(_feedback.c.number).limit(_MOST_AT_ONCE)
        with self._engine.connect() as connection:
            return {row.number: _interaction_of(row) for row in connection.execute(query)}

    def forget(self) -> None:
        """Remove what is too old to be read."""
        ranked = _by_place_of_their_user()
        too_many = select(ranked.c.number).where(ranked.c.place > MOST_OF_A_USER)
        oldest = select(_feedback.c.number).order_by(_feedback.c.number.desc()).limit(1).offset(MOST_KEPT - 1)
        with self._engine.begin() as connection:
            connection.execute(delete(_feedback).where(_feedback.c.number.in_(too_many)))
            if (number := connection.execute(oldest).scalar()) is not None:
                connection.execute(delete(_feedback).where(_feedback.c.number < number))


def _by_place_of_their_user() -> Subquery:
    """All feedback, with its ``place`` among that of its user: 1 is the newest."""
    place = func.row_number().over(partition_by=_feedback.c.user_id, order_by=_feedback.c.number.desc())
    return select(_feedback, place.label("place")).subquery()


def _interaction_of(row: Row[tuple[object, ...]]) -> Interaction:
    return Interaction(row.user_id, Persona(row.persona), parse(row.resonance_key).key, row.rating)
