"""The request log that every router writes, one line per answered request, and how it is read on.

``gonogo <accepted epoch s> <handshake ms> <idle ms> <active ms> <status> <backend> <assigned> <user hash> <end> <ms>``:
the timers as HAProxy logs them (a request starts after handshake and idle time), -1 where there was nothing to time;
the last two, which may be missing, are HAProxy's termination state and the time to the answer's head. With SD and sD
the version broke its answer off, or stalled, when the status was out already: such a request had no answer. With C or c
the user left within the request. With R or I the router itself had nothing left to reach a version with. Status 101 is
a connection that goes on in another protocol: how it ends, and when, says nothing of its one request.
"""

import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rollouts.samples import Arm, RequestSample

_MARK = b"gonogo "
_ARMS = ("stable", "canary")
_BAD_REQUEST = 400
_SWITCHED = 101
_BROKEN_OFF = frozenset({"SD", "sD"})
_ROUTERS_OWN = frozenset("RI")
_LONGEST_LINE = 4096


@dataclass(frozen=True)
class RequestLog:
    """A growing log file. A cursor is the number of bytes read so far."""

    path: Path

    def end(self) -> int:
        """The cursor after all lines that are there now."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as log:
            begin = max(0, log.seek(0, os.SEEK_END) - _LONGEST_LINE)
            log.seek(begin)
            return begin + log.read().rfind(b"\n") + 1

    def since(self, cursor: int, *, at_most_bytes: int = -1) -> tuple[list[RequestSample], int]:
        """The requests after ``cursor``, in the order in which they ended, and the next cursor.

        A log that is shorter than the cursor, or has no line's end before it, was begun anew and is read from its
        start. -1: all that there is.
        """
        if not self.path.exists():
            return [], 0
        with self.path.open("rb") as log:
            start = 0
            if cursor > 0:
                log.seek(cursor - 1)
                start = cursor if log.read(1) == b"\n" else 0
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
    if not line.startswith(_MARK) or not 9 <= len(fields) <= 11 or not {fields[6], fields[7]} <= set(_ARMS):
        return None
    end = fields[9] if fields[9:] else "--"
    try:
        accepted_s, handshake_ms, idle_ms, active_ms = (float(field) for field in fields[1:5])
        logged, to_answer_ms = int(fields[5]), float(fields[10]) if fields[10:] else active_ms
    except ValueError:
        return None
    numbers = (accepted_s, handshake_ms, idle_ms, active_ms, to_answer_ms)
    if not all(map(math.isfinite, numbers)) or end[0] in _ROUTERS_OWN:
        return None
    return RequestSample(
        at_s=accepted_s + (max(handshake_ms, 0) + max(idle_ms, 0)) / 1000,
        backend=cast(Arm, fields[6]),
        status=_status(logged, end),
        latency_ms=max(to_answer_ms if logged == _SWITCHED else active_ms, 0.0),
        user_hash=fields[8],
        assigned=cast(Arm, fields[7]),
    )


def _status(logged: int, end: str) -> int:
    if logged == _SWITCHED:
        return logged
    if end in _BROKEN_OFF:
        return 0
    if logged < 0 and end[0] in "Cc":
        return _BAD_REQUEST  # what a user who breaks a request off is told; nobody else is to blame
    return max(logged, 0)


@dataclass
class LogWriter:
    """Writes whole lines. What a full disk does not take is counted, and said when it takes lines again."""

    descriptor: int
    lost: int = 0
    _torn: bool = False

    def write(self, line: bytes) -> None:
        """Append a line, if there is room: a user's request does not fail for it."""
        before = b"\n" if self._torn else b""
        if self.lost:
            before += f"lost {self.lost} lines: there was no room for them\n".encode()
        text = before + line
        try:
            written = os.write(self.descriptor, text)
        except OSError as error:
            if not self.lost:
                logging.getLogger(__name__).error("the request log cannot be written: %s", error)
            self.lost += 1
            return
        self._torn = written < len(text) and (written > 0 or self._torn)
        self.lost = 0 if written == len(text) else self.lost + 1
