"""Rollouts in the ledger's database: which there are, and what their ticks have seen."""

import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from evidence.database import LedgerError, reason, rollout_journal, rollout_requests, rollout_users, rollouts, writing
from rollouts.counters import Kept, Reading, readings_in, requests_in
from rollouts.journal import Draft
from rollouts.observation import Observation
from rollouts.samples import RequestSample

_FIELDS = ("at_s", "backend", "status", "latency_ms", "user_hash", "assigned")


@dataclass(frozen=True)
class RolloutRow:
    """One rollout: of what, and by which plan."""

    rollout_id: str
    release: str
    subject: str
    plan_digest: str
    started_at: str
    notified: int


def start_rollout(engine: Engine, row: RolloutRow, observation: Observation, first: Draft) -> None:
    """Take up a new rollout with the first entry of its journal. Raises LedgerError when there is one with this id."""
    entry = {"rollout_id": row.rollout_id, "number": 1, "at": row.started_at, **vars(first)}
    with _told("the rollout cannot be started"), writing(engine) as connection:
        connection.execute(insert(rollouts).values(**vars(row), observation=observation.as_json()))
        connection.execute(insert(rollout_journal).values(**entry))


def newest_rollout(engine: Engine, release: str) -> RolloutRow | None:
    """The rollout of a release that was started last."""
    columns = [rollouts.c[name] for name in RolloutRow.__dataclass_fields__]
    query = select(*columns).where(rollouts.c.release == release).order_by(rollouts.c.started_at.desc()).limit(1)
    with _told("the rollouts cannot be read"), engine.connect() as connection:
        found = connection.execute(query).first()
    return RolloutRow(**found._asdict()) if found else None


@dataclass(frozen=True)
class TickStore:
    """What the ticks of one rollout have seen. Raises LedgerError when the database fails."""

    engine: Engine
    rollout_id: str

    def load(self) -> Observation:
        """As the last tick left it."""
        query = select(rollouts.c.observation).where(rollouts.c.rollout_id == self.rollout_id)
        with _told("the rollout cannot be read"), self.engine.connect() as connection:
            return Observation.of_json(connection.execute(query).scalar_one())

    def save(
        self,
        observation: Observation,
        *,
        new: Kept = (),
        read: Sequence[RequestSample] = (),
        forget_epochs: Collection[int] = (),
    ) -> None:
        """Commit at once what was read, how far it was read, and who saw the canary.

        ``new`` is the last of the epoch's ``observation.chunks`` pieces, and part of what was ``read``. Requests of
        ``forget_epochs`` are removed.
        """
        exposed = sorted({request.user_hash for request in read if request.backend == "canary"})
        key = {"rollout_id": self.rollout_id}
        with _told("the rollout cannot be kept"), writing(self.engine) as connection:
            mine = rollouts.c.rollout_id == self.rollout_id
            connection.execute(update(rollouts).where(mine).values(observation=observation.as_json()))
            if new:
                piece = {"epoch": observation.epoch, "number": observation.chunks, "content": _packed(new)}
                connection.execute(insert(rollout_requests).values(**key, **piece))
            for begin in range(0, len(exposed), 500):
                some = exposed[begin : begin + 500]
                known = select(rollout_users.c.user_hash).where(
                    rollout_users.c.rollout_id == self.rollout_id, rollout_users.c.user_hash.in_(some)
                )
                fresh = sorted(set(some) - set(connection.execute(known).scalars()))
                if fresh:
                    connection.execute(insert(rollout_users), [{**key, "user_hash": user} for user in fresh])
            if forget_epochs:
                of_mine = rollout_requests.c.rollout_id == self.rollout_id
                old = rollout_requests.c.epoch.in_(list(forget_epochs))
                connection.execute(delete(rollout_requests).where(of_mine, old))

    def requests(self, epoch: int, at_most_chunks: int | None = None) -> Kept:
        """The requests of an epoch, or its readings of counters, in the order in which they were seen."""
        query = select(rollout_requests.c.content).where(
            rollout_requests.c.rollout_id == self.rollout_id, rollout_requests.c.epoch == epoch
        )
        if at_most_chunks is not None:
            query = query.where(rollout_requests.c.number <= at_most_chunks)
        with _told("the requests cannot be read"), self.engine.connect() as connection:
            pieces = list(connection.execute(query.order_by(rollout_requests.c.number)).scalars())
        rows = [row for piece in pieces for row in json.loads(zlib.decompress(piece))]
        if rows and isinstance(rows[0], dict):
            return [Reading.of_json(row) for row in rows]
        return [RequestSample(*row) for row in rows]

    def users_exposed(self) -> int:
        """How many different users the canary served."""
        query = select(func.count()).where(rollout_users.c.rollout_id == self.rollout_id)
        with _told("the users cannot be counted"), self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def notified(self, number: int | None = None) -> int:
        """The last journal entry that people were told of; sets it when ``number`` is given."""
        mine = rollouts.c.rollout_id == self.rollout_id
        with _told("the rollout cannot be kept"):
            if number is not None:
                with writing(self.engine) as connection:
                    connection.execute(update(rollouts).where(mine).values(notified=number))
            with self.engine.connect() as connection:
                return int(connection.execute(select(rollouts.c.notified).where(mine)).scalar_one())


def _packed(kept: Kept) -> bytes:
    rows: list[Any] = [reading.as_json() for reading in readings_in(kept)]
    rows += [[getattr(request, name) for name in _FIELDS] for request in requests_in(kept)]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise LedgerError(f"{what}: {reason(error)}") from error
