"""What the processes on one database share, and how each of them keeps up with the others."""

import asyncio
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from engines.conversation.database_calls import DatabaseCalls
from engines.experiments.outcomes import Outcomes
from engines.recommendation.history import History
from engines.switches import SwitchStore

_log = structlog.get_logger("ion")

KEEP_UP_EVERY_S = 1.0


class Shared:
    """Switches, history and outcomes; what others know of feedback is a matter of training.

    ``calls`` runs what asks the database off the event loop.
    """

    def __init__(self, engine: Engine, calls: DatabaseCalls) -> None:
        self.calls = calls
        self.switches = SwitchStore(engine)
        self.history = History(engine)
        self.outcomes = Outcomes(engine)
        self._kept_up_s = time.monotonic()

    def keep_up(self) -> None:
        """Read what the others changed, and write what this process remembers. Raises SQLAlchemyError."""
        self.switches.read()
        self.history.flush()
        self._kept_up_s = time.monotonic()

    def close(self) -> None:
        """Write what is still to be written; without a database it is lost."""
        try:
            self.history.flush()
        except SQLAlchemyError as error:
            _log.error("the last recommendations could not be written", exc_info=error)

    @property
    def age_s(self) -> float:
        """How old the oldest thing is that this process knows of the others."""
        return time.monotonic() - self._kept_up_s


async def regularly(act: Callable[[], object], what: str, every_s: float) -> None:
    """Do something that asks the database, again and again until cancelled; an outage is logged once."""
    failing = False
    while True:
        try:
            await run_in_threadpool(act)
            if failing:
                _log.info(f"{what}: the database answers again")
            failing = False
        except SQLAlchemyError as error:
            if not failing:
                _log.error(f"{what}: the database does not answer", exc_info=error)
            failing = True
        await asyncio.sleep(every_s)
