"""The ladder of authorization levels."""

from typing import Literal, get_args

Level = Literal["rehearsal", "canary", "ab-test", "full"]

LEVELS: tuple[Level, ...] = get_args(Level)
"""From the lowest to the highest."""


def levels_up_to(level: Level) -> tuple[Level, ...]:
    """The levels that must be reached for ``level``, itself included."""
    return LEVELS[: LEVELS.index(level) + 1]
