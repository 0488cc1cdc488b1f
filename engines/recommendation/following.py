"""Feedback that other processes took: read from SQL, so that it counts here too before the next model is taught."""

import time
from collections.abc import Callable

from engines.recommendation.ensemble import Feedback
from engines.recommendation.feedback_store import FeedbackStore

_AT_ONCE = 1000
# Longer than a transaction may take: whoever was given a lower number may store it after a higher one was read.
_AWAITED_S = 15.0
_MOST_AWAITED = 500


class FeedbackFollower:
    """Learns what was stored after ``newest``; numbers left out are awaited for 15 s."""

    def __init__(self, store: FeedbackStore, newest: int, learn: Callable[[str, Feedback], None]) -> None:
        self._store, self._newest, self._learn = store, newest, learn
        self._awaited: dict[int, float] = {}

    def catch_up(self) -> None:
        """Learn all that is new. What this process took itself is learnt twice, which changes nothing.

        Raises SQLAlchemyError.
        """
        while True:
            found = self._store.after(self._newest, self._awaited, _AT_ONCE)
            for number, given in found.items():
                self._learn(given.user_id, Feedback(number, given.persona, given.rating))
            newest, now_s = max([self._newest, *found]), time.monotonic()
            left_out = range(max(self._newest + 1, newest - _MOST_AWAITED), newest)
            self._awaited = {
                number: since_s
                for number, since_s in (self._awaited | dict.fromkeys(left_out, now_s)).items()
                if number not in found and now_s - since_s < _AWAITED_S
            }
            self._newest = newest
            if len(found) < _AT_ONCE:
                return
