"""Teaching: a model from the interactions of the release and all feedback since, while the one before answers."""

import asyncio
import os
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import uniform

import structlog
from sqlalchemy.exc import SQLAlchemyError

from engines.conversation.database import open_database
from engines.recommendation.ensemble import Ensemble, Feedback
from engines.recommendation.feedback_store import FeedbackStore
from engines.recommendation.interactions import read_interactions
from engines.recommendation.model import Model, train

_log = structlog.get_logger("ion")

RETRAIN_EVERY_S = 3600.0
FOLLOW_EVERY_S = 1.0

_TEACH_WITHIN_S = 300.0
_NICENESS = 10

Taught = tuple[Model, frozenset[int]]


class TrainingInProgress(Exception):
    """A model is being taught right now."""


class NotTaught(Exception):
    """No model could be taught; the one before goes on."""


class Training:
    """Teaches the first model at once, and later ones in a process of their own.

    There they take neither the interpreter nor, at their niceness, the processor from requests, and what they need of
    memory goes back with the process: taught in a thread, ten models left 30 MB behind that the allocator kept.
    """

    def __init__(self, data: Path, store: FeedbackStore) -> None:
        self._data = data
        self.store = store
        self._under_way = asyncio.Lock()
        self._apart: BaseProcess | None = None
        model, known = taught(data, store)
        self._knows_until = max(known, default=0)
        self.ensemble = Ensemble(model, known)

    async def again(self) -> Model:
        """Teach a model if there is feedback that the present one does not know; returns the one that answers now.

        Raises TrainingInProgress, NotTaught also when the process died or took longer than five minutes, and
        SQLAlchemyError.
        """
        if self._under_way.locked():
            raise TrainingInProgress
        async with self._under_way:
            newest = await asyncio.to_thread(self.store.newest)
            if newest != self._knows_until:
                await asyncio.to_thread(self._teach_apart)
                self._knows_until = newest
                await asyncio.to_thread(self.store.forget)
                _log.info("taught", model_version=self.ensemble.model.version)
        return self.ensemble.model

    async def keep_up(self) -> None:
        """Teach again every hour, and learn of feedback that other processes took within a second; until cancelled."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._teach_regularly())
                both.create_task(self._follow())
        finally:
            if self._apart is not None:
                self._apart.kill()

    async def _teach_regularly(self) -> None:
        while True:
            await asyncio.sleep(RETRAIN_EVERY_S * uniform(0.9, 1.1))  # processes that start together drift apart
            try:
                await self.again()
            except TrainingInProgress:
                continue
            except (NotTaught, SQLAlchemyError) as error:
                _log.error("a model could not be taught; the one before goes on", exc_info=error)

    async def _follow(self) -> None:
        known, answers = self._knows_until, True
        while True:
            await asyncio.sleep(FOLLOW_EVERY_S)
            try:
                known, answers = await asyncio.to_thread(self._learn_since, known), True
            except (SQLAlchemyError, ValueError) as error:  # of a row that this version cannot read
                if answers:  # said once: it would come every second
                    _log.error("feedback of other processes cannot be read", exc_info=error)
                answers = False

    def _learn_since(self, number: int) -> int:
        """Blocks; returns the number up to which feedback is known now."""
        given = self.store.since(number)
        for at, one in given.items():
            self.ensemble.learn(one.user_id, Feedback(at, one.persona, one.rating))
        return max(given, default=number)

    def _teach_apart(self) -> None:
        """Blocks. The model is no result of a task: tasks are garbage in cycles, which would hold it for long.

        The process has the only other end of a pipe: each of the two learns by it that the other has died.
        """
        context = get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        self._apart = context.Process(target=teach_into, args=(theirs, self._data, self.store.url), daemon=True)
        try:
            with ours:
                with theirs:
                    self._apart.start()
                if not ours.poll(_TEACH_WITHIN_S):
                    raise NotTaught(f"it took longer than {_TEACH_WITHIN_S:g} s")
                answer: Taught | str = ours.recv()
        except EOFError:
            raise NotTaught("the process died") from None
        finally:
            if self._apart.pid is not None:
                self._apart.kill()
                self._apart.join()
            self._apart = None
        if isinstance(answer, str):
            raise NotTaught(answer)
        self.ensemble.replace(*answer)


def taught(data: Path, store: FeedbackStore) -> Taught:
    """A model, and the numbers of the feedback that it knows. Raises SQLAlchemyError, OSError and ValueError."""
    feedback = store.read()
    return train([*read_interactions(data), *feedback.values()]), frozenset(feedback)


def teach_into(answers: Connection, data: Path, database_url: str) -> None:
    """The same in a process that has nothing but the URL of the database, behind whatever else wants the processor."""
    os.nice(_NICENESS)
    engine = open_database(database_url, pool_size=1)
    answer: Taught | str
    try:
        answer = taught(data, FeedbackStore(engine))
    except (SQLAlchemyError, OSError, ValueError) as error:
        answer = f"{type(error).__name__}: {error}"
    finally:
        engine.dispose()
    with suppress(BrokenPipeError), answers:  # whoever asked is gone
        answers.send(answer)
