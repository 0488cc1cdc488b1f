"""Teaching: a model from the interactions of the release and all feedback since, while the one before answers."""

import asyncio
import os
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import structlog
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from engines.recommendation.ensemble import Ensemble
from engines.recommendation.feedback_store import FeedbackStore
from engines.recommendation.interactions import read_interactions
from engines.recommendation.model import Model, train

_log = structlog.get_logger("ion")

RETRAIN_EVERY_S = 3600.0

_NICENESS = 10


class TrainingInProgress(Exception):
    """A model is being taught right now."""


class Training:
    """Teaches the first model at once, and later ones in a process of their own.

    There they take neither the interpreter nor, at their niceness, the processor from requests, and what they need of
    memory goes back with the process: taught in a thread, ten models left 30 MB behind that the allocator kept.
    """

    def __init__(self, data: Path, store: FeedbackStore) -> None:
        self._data = data
        self.store = store
        self._under_way = asyncio.Lock()
        model, known = taught(data, store)
        self._knows_until = max(known, default=0)
        self.ensemble = Ensemble(model, known)

    @property
    def taught_until(self) -> int:
        """The number of the newest feedback that the model knows; 0 when it knows none."""
        return self._knows_until

    async def again(self) -> Model:
        """Teach a model if there is feedback that the present one does not know; returns the one that answers now.

        Raises TrainingInProgress, SQLAlchemyError, OSError, ValueError, and BrokenExecutor when the process died;
        whatever is raised, the model before stays.
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

    async def hourly(self) -> None:
        """Teach again every hour, until cancelled."""
        while True:
            await asyncio.sleep(RETRAIN_EVERY_S)
            try:
                await self.again()
            except TrainingInProgress:
                continue
            except (SQLAlchemyError, OSError, ValueError, BrokenExecutor) as error:
                _log.error("a model could not be taught; the one before goes on", exc_info=error)

    def _teach_apart(self) -> None:
        """Blocks. The model is no result of a task: tasks are garbage in cycles, which would hold it for long."""
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            model, known = apart.submit(taught_by_url, self._data, self.store.url).result()
        self.ensemble.replace(model, known)


def taught(data: Path, store: FeedbackStore) -> tuple[Model, frozenset[int]]:
    """A model, and the numbers of the feedback that it knows. Raises SQLAlchemyError, OSError and ValueError."""
    feedback = store.read()
    return train([*read_interactions(data), *feedback.values()]), frozenset(feedback)


def taught_by_url(data: Path, database_url: str) -> tuple[Model, frozenset[int]]:
    """The same in a process that has nothing but the URL of the database, behind whatever else wants the processor."""
    os.nice(_NICENESS)
    engine = create_engine(database_url)
    try:
        return taught(data, FeedbackStore(engine))
    finally:
        engine.dispose()
