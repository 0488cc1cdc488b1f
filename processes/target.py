"""A running system that is measured from outside."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A running version of the subject: where it answers, and how it is looked into.

    ``url`` has no trailing slash. ``pid`` and ``log`` are None for a target that gonogo did not start.
    """

    name: str
    url: str
    metrics_url: str | None = None
    pid: int | None = None
    log: Path | None = None
