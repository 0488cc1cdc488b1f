"""By what a user's recommendations are answered: a share for the ensemble, and an experiment that compares it with the
router. Kept in SQL, so that all processes agree.
"""

import json
import secrets
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, DateTime, Engine, MetaData, String, Table, Text, insert, select, update
from sqlalchemy.exc import IntegrityError

from engines.conversation.database import create_tables
from engines.slots import within

_CANARY_SALT = "ion-canary"
_TREATED_PERCENT = 50.0

_metadata = MetaData()
_switches = Table(
    "ion_switches",
    _metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)


class Arm(StrEnum):
    """An arm of the experiment: answered by the router, or by the ensemble."""

    CONTROL = "control"
    TREATMENT = "treatment"


@dataclass(frozen=True)
class Canary:
    """The share of users, from 0 to 100 percent, whom the ensemble answers; all others the router does."""

    enabled: bool = True
    percentage: float = 100.0

    @property
    def share(self) -> float:
        """The percentage that holds."""
        return self.percentage if self.enabled else 0.0


@dataclass(frozen=True)
class Experiment:
    """Half of the users of the share are answered by the router; ``salt`` None: no experiment runs."""

    salt: str | None = None
    since: str | None = None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.salt is not None

    @property
    def began_at(self) -> datetime | None:
        """When it was started; None when it does not run."""
        return None if self.since is None else datetime.fromisoformat(self.since)


@dataclass(frozen=True)
class Switches:
    """All of it, as it was read at one time."""

    canary: Canary = Canary()
    experiment: Experiment = Experiment()

    def arm(self, user_id: str) -> Arm | None:
        """The user's arm; None without an experiment, and for users outside the share."""
        if self.experiment.salt is None or not within(_CANARY_SALT, user_id, self.canary.share):
            return None
        return Arm.TREATMENT if within(self.experiment.salt, user_id, _TREATED_PERCENT) else Arm.CONTROL

    def by_ensemble(self, user_id: str) -> bool:
        """Whether the ensemble answers the user."""
        return within(_CANARY_SALT, user_id, self.canary.share) and self.arm(user_id) is not Arm.CONTROL


class SwitchStore:
    """The switches as this process knows them, and those in SQL. ``read`` and changes raise SQLAlchemyError.

    A process that cannot read goes on by what it knows.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        create_tables(engine, _metadata)
        self.now = Switches()
        self.read()

    def read(self) -> Switches:
        """What holds in all processes; from now on in this one too."""
        with self._lock, self._engine.connect() as connection:
            kept: dict[str, dict[str, Any]] = {
                row.name: json.loads(row.value) for row in connection.execute(select(_switches))
            }
            self.now = Switches(Canary(**kept.get("canary", {})), Experiment(**kept.get("experiment", {})))
            return self.now

    def set_canary(self, canary: Canary) -> Switches:
        """Answer this share by the ensemble from the next request on; other processes follow within seconds."""
        return self._write("canary", asdict(canary))

    def start_experiment(self) -> Switches:
        """Draw new arms, and compare them from now on."""
        began = Experiment(secrets.token_urlsafe(12), datetime.now(UTC).isoformat())
        return self._write("experiment", asdict(began))

    def stop_experiment(self) -> Switches:
        """Answer everybody in the share by the ensemble again."""
        return self._write("experiment", asdict(Experiment()))

    def _write(self, name: str, value: dict[str, Any]) -> Switches:
        row = {"value": json.dumps(value), "changed_at": datetime.now(UTC)}
        changed = update(_switches).where(_switches.c.name == name).values(**row)
        with self._engine.begin() as connection:
            known = connection.execute(changed).rowcount
        if not known:
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(_switches).values(name=name, **row))
            except IntegrityError:  # another process was first
                with self._engine.begin() as connection:
                    connection.execute(changed)
        return self.read()
