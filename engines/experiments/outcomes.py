"""Outcomes of users in SQL: each with its time, so that whoever compares arms can say which time counts."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.exc import IntegrityError

from engines.conversation.database import create_tables
from engines.experiments.statistics import Group
from engines.retention import keep_newest
from engines.switches import Arm

MOST_KEPT = 500_000
KEPT = timedelta(days=90)

_metadata = MetaData()
_outcomes = Table(
    "ion_outcomes",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("metric", String(32), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("value", Float, nullable=False),
    Column("arm", String(16)),
    Column("source", String(64), nullable=False),
    Column("session_id", String(64)),
    Column("at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("source", "metric", name="ion_outcomes_source"),
    Index("ion_outcomes_time", "at", "number"),
    Index("ion_outcomes_metric", "metric", "user_id", "number"),
    sqlite_autoincrement=True,
)


class Outcome(NamedTuple):
    """One outcome of a user as it was recorded."""

    number: int
    at: datetime
    user_id: str
    metric: str
    value: float


class Outcomes:
    """The newest 500,000 outcomes of the last 90 days. Safe for several threads and processes.

    Every method raises SQLAlchemyError when the database does not answer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        create_tables(engine, _metadata)

    def record(
        self, metric: str, user_id: str, value: float, arm: Arm | None, source: str, session_id: str | None = None
    ) -> datetime | None:
        """Keep an outcome; returns its time, or None when one of the same ``source`` and metric was kept before."""
        at = datetime.now(UTC)
        row = {"metric": metric, "user_id": user_id, "value": value, "arm": arm, "source": source}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_outcomes).values(**row, session_id=session_id, at=at))
        except IntegrityError:
            return None
        return at

    def page(self, since: datetime, after: Outcome | None, most: int) -> list[Outcome]:
        """Outcomes from ``since`` on, in the order of time, those that follow ``after`` in it."""
        table = _outcomes
        wanted = table.c.at >= since
        if after is not None:
            same_time = and_(table.c.at == after.at, table.c.number > after.number)
            wanted = or_(table.c.at > after.at, same_time)
        query = select(table).where(wanted).order_by(table.c.at, table.c.number).limit(most)
        with self._engine.connect() as connection:
            return [
                Outcome(row.number, _utc(row.at), row.user_id, row.metric, row.value)
                for row in connection.execute(query)
            ]

    def groups(self, metric: str, since: datetime) -> dict[Arm, Group]:
        """Users, mean and spread of both arms. Of each user the first outcome from ``since`` on counts.

        A later one would make a user's weight, or their outcome, depend on how often they came back.
        """
        table = _outcomes
        first = (
            select(func.min(table.c.number))
            .where(table.c.metric == metric, table.c.arm.is_not(None), table.c.at >= since)
            .group_by(table.c.user_id)
        )
        counted = select(table.c.arm, table.c.value).where(table.c.number.in_(first)).cte("counted")
        count, mean = func.count(counted.c.value).label("users"), func.avg(counted.c.value).label("mean")
        means = select(counted.c.arm, count, mean).group_by(counted.c.arm).cte("means")
        apart = counted.c.value - means.c.mean
        query = (
            select(means.c.arm, means.c.users, means.c.mean, func.sum(apart * apart).label("squares"))
            .join(counted, counted.c.arm == means.c.arm)
            .group_by(means.c.arm, means.c.users, means.c.mean)
        )
        with self._engine.connect() as connection:
            found = {Arm(r.arm): Group(r.users, r.mean, r.squares) for r in connection.execute(query)}
        return {arm: found.get(arm, Group(0, math.nan, math.nan)) for arm in Arm}

    def counts(self) -> dict[str, int]:
        """How many outcomes of each metric there are."""
        query = select(_outcomes.c.metric, func.count()).group_by(_outcomes.c.metric)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def forget(self) -> int:
        """Remove what is too old, 2,000 at a time; returns how many that were."""
        removed = 0
        while True:
            with self._engine.begin() as connection:
                some = keep_newest(connection, _outcomes, MOST_KEPT, _outcomes.c.at < datetime.now(UTC) - KEPT)
            removed += some
            if not some:
                return removed

    def remove_all(self) -> int:
        """Begin anew; returns how many outcomes are gone."""
        with self._engine.begin() as connection:
            return connection.execute(delete(_outcomes)).rowcount


def rows(outcomes: Iterable[Outcome], metrics: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Outcomes as rows of ``at``, ``user_id`` and a column for each metric, empty for all but one."""
    columns = tuple(metrics)
    for one in outcomes:
        at = one.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        value = str(int(one.value)) if one.value.is_integer() else repr(one.value)
        yield (at, one.user_id, *(value if metric == one.metric else "" for metric in columns))


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
