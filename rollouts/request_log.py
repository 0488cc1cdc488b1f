"""The request log that every router writes, one line per answered request, and how it is read on.

``gonogo <accepted epoch s> <handshake ms> <idle ms> <active ms> <status> <backend> <assigned> <user hash> <end>``: the
timers as HAProxy logs them (a request starts after handshake and idle time), -1 where there was nothing to time; the
end, which may be missing, as HAProxy's termination state. With SD and sD the version broke its answer off, or stalled,
when the status was out already: such a request had no answer. With C or c the user left within the request.
"""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import cast

from rollouts.samples import Arm, RequestSample

_MARK = b"gonogo "
_ARMS = ("stable", "canary")
_BAD_REQUEST = 400
_BROKEN_OFF = frozenset({"SD", "sD"})


@dataclass(frozen=True)
class RequestLog:
    """A growing log file. A cursor is the number of bytes read so far."""

    path: Path

    def end(self) -> int:
        """The cursor after all bytes that are there now."""
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, cursor: int, *, at_most_bytes: int = -1) -> tuple[list[RequestSample], int]:
        """The requests after ``cursor``, in the order in which they ended, and the next cursor.

        A log that is shorter than the cursor was begun anew and is read from its start. -1: all that there is.
        """
        if not self.path.exists():
            return [], 0
        start = cursor if cursor <= self.path.stat().st_size else 0
        with self.path.open("rb") as log:
            log.seek(start)
            text = log.read(at_most_bytes)
        end = text.rfind(b"\n") + 1
        parsed = (parse_line(line) for line in text[:end].splitlines())
        return [sample for sample in parsed if sample], start + end


def format_line(started_at_s: float, latency_ms: float, status: int, backend: Arm, assigned: Arm, user: str) -> bytes:
    """One line of the log for a request that started at ``started_at_s``."""
    return f"gonogo {started_at_s:.3f} 0 0 {latency_ms:.2f} {status} {backend} {assigned} {user}\n".encode()


def parse_line(line: bytes) -> RequestSample | None:
    """The request of a line; None for other lines, and for requests that reached neither version.

    A line that a full disk or a crash has torn, and that runs into the next one, is such another line.
    """
    fields = line.decode(errors="replace").split()
    if not line.startswith(_MARK) or len(fields) not in (9, 10) or fields[6] not in _ARMS or fields[7] not in _ARMS:
        return None
    try:
        accepted_s, handshake_ms, idle_ms, active_ms = (float(field) for field in fields[1:5])
        logged = int(fields[5])
    except ValueError:
        return None
    if not all(map(isfinite, (accepted_s, handshake_ms, idle_ms, active_ms))):
        return None
    return RequestSample(
        at_s=accepted_s + (max(handshake_ms, 0) + max(idle_ms, 0)) / 1000,
        backend=cast(Arm, fields[6]),
        status=_status(logged, fields[9] if fields[9:] else "--"),
        latency_ms=max(active_ms, 0.0),
        user_hash=fields[8],
        assigned=cast(Arm, fields[7]),
    )


def _status(logged: int, end: str) -> int:
    if end in _BROKEN_OFF:
        return 0
    if logged < 0 and end[0] in "Cc":
        return _BAD_REQUEST  # what a user who breaks a request off is told; nobody else is to blame
    return max(logged, 0)
