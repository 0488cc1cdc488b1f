"""Teaching: a model from the interactions of the release and all feedback since, while the one before answers."""

import asyncio
from collections.abc import Set
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from engines.recommendation.ensemble import Ensemble
from engines.recommendation.feedback_store import FeedbackStore
from engines.recommendation.interactions import read_interactions
from engines.recommendation.model import Model, train

_log = structlog.get_logger("ion")

RETRAIN_EVERY_S = 3600.0


class TrainingInProgress(Exception):
    """A model is being taught right now."""


class Training:
    """Teaches the first model at once, and later ones in a thread: requests are answered by the model before."""

    def __init__(self, data: Path, store: FeedbackStore) -> None:
        self._data = data
        self.store = store
        self._under_way = asyncio.Lock()
        model, known = self._taught()
        self._knows_until = max(known, default=0)
        self.ensemble = Ensemble(model, known)

    async def again(self) -> Model:
        """Teach a model if there is feedback that the present one does not know; returns the one that answers now.

        Raises TrainingInProgress, SQLAlchemyError, OSError and ValueError; whatever is raised, the model before stays.
        """
        if self._under_way.locked():
            raise TrainingInProgress
        async with self._under_way:
            newest = await asyncio.to_thread(self.store.newest)
            if newest != self._knows_until:
                model, known = await asyncio.to_thread(self._taught)
                self.ensemble.replace(model, known)
                self._knows_until = newest
                await asyncio.to_thread(self.store.forget)
                _log.info("taught", model_version=model.version, feedback=len(known))
        return self.ensemble.model

    async def hourly(self) -> None:
        """Teach again every hour, until cancelled."""
        while True:
            await asyncio.sleep(RETRAIN_EVERY_S)
            try:
                await self.again()
            except TrainingInProgress:
                continue
            except (SQLAlchemyError, OSError, ValueError) as error:
                _log.error("a model could not be taught; the one before goes on", exc_info=error)

    def _taught(self) -> tuple[Model, Set[int]]:
        """A model, and the numbers of the feedback that it knows."""
        feedback = self.store.read()
        return train([*read_interactions(self._data), *feedback.values()]), frozenset(feedback)
