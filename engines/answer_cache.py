"""Answers without a session, kept: they depend on the message and the key alone, and making one takes up to 1.2 ms.

Bounded by what it holds; the least recently used goes first. Nothing in it can be outdated: clearing it only frees
memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from engines.recommendation.bounded import Bounded
from engines.resonance_router import Routing

MOST_KEPT = 1000


class Answered(NamedTuple):
    """How a message was routed, and the text that answered it."""

    routing: Routing
    text: str

    @property
    def name(self) -> str:
        """Its place in the cache as it is told: who answered which key; never what a user wrote."""
        return f"{self.routing.primary}:{self.routing.key}"


@dataclass(frozen=True)
class Stats:
    """``hits`` and ``misses`` count since the cache was made or cleared."""

    kept: int
    most: int
    hits: int
    misses: int


class AnswerCache:
    """At most 1,000 answers. For one thread: that of the event loop."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._answers: Bounded[tuple[str, str | None], Answered] = Bounded(most)
        self._hits = self._misses = 0

    def get(self, message: str, key: str | None, make: Callable[[], Answered]) -> tuple[Answered, bool]:
        """The answer to a message and an explicit key, and whether it was kept."""
        place = (message, key)
        if (known := self._answers.get(place)) is not None:
            self._hits += 1
            return known, True
        self._misses += 1
        made = make()
        self._answers.put(place, made)
        return made, False

    def clear(self) -> int:
        """Forget all answers; returns how many those were."""
        forgotten = len(self._answers)
        self._answers = Bounded(self._most)
        self._hits = self._misses = 0
        return forgotten

    def invalidate(self, pattern: str) -> int:
        """Forget answers whose name matches, such as ``Lua:*`` or ``*:calm-*``; returns how many those were."""
        kept: Bounded[tuple[str, str | None], Answered] = Bounded(self._most)
        before = self._answers.items()
        for place, answered in before:
            if not fnmatchcase(answered.name, pattern):
                kept.put(place, answered)
        self._answers = kept
        return len(before) - len(kept)

    @property
    def stats(self) -> Stats:
        """How full it is, and what it was good for."""
        return Stats(len(self._answers), self._most, self._hits, self._misses)
