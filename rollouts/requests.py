"""Requests as a router logs them, one line each, and read again while the log is still written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Arm = Literal["stable", "canary"]

MARK = "GONOGO-REQUEST"
EXPECTED_4XX = frozenset({404, 409, 422, 429})
"""A client's own mistakes and limits: they say nothing about the version that answers."""


@dataclass(frozen=True)
class Request:
    """One request. ``started_at_s`` is epoch seconds; ``status`` 0 when the back end gave no answer."""

    started_at_s: float
    arm: Arm
    status: int
    latency_ms: float
    user: str

    @property
    def is_error(self) -> bool:
        """5xx, unexpected 4xx, or no answer."""
        return not 200 <= self.status < 400 and self.status not in EXPECTED_4XX

    @property
    def is_unreachable(self) -> bool:
        """Whether the back end did not answer at all: the router had to."""
        return self.status in (0, 502, 503, 504)


class RequestLog:
    """Reads the requests that were appended to a log since it was last asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_requests(self) -> list[Request]:
        """The requests logged since the last call; a line that is still being written waits for the next."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")[0]
        if not whole:
            return []
        self._offset += len(whole) + 1
        lines = whole.decode(errors="replace").split("\n")
        return [read_line(line) for line in lines if line.startswith(MARK)]


def read_line(line: str) -> Request:
    """``GONOGO-REQUEST <ended, epoch ms> <arm> <status> <latency ms> <user>``. Raises ValueError."""
    _, ended_ms, arm, status, latency_ms, user = line.split(" ")
    if arm not in ("stable", "canary"):
        raise ValueError(f"{arm!r} is no arm of a rollout")
    latency = max(0.0, float(latency_ms))
    known = int(status) if status.isdigit() else 0
    return Request((float(ended_ms) - latency) / 1000, arm, known, latency, user)  # type: ignore[arg-type]
