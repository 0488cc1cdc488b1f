"""A lock that one process holds; the kernel frees it when that process dies, however it dies."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from processes.errors import UsageError

_PATIENCE_S = 1.0
"""Whoever only looks whether a lock is held, holds it for a moment."""


class HeldError(UsageError):
    """Another process holds the lock."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, and since when; both None while it is just taking it."""

    pid: int | None
    since: datetime | None

    def __str__(self) -> str:
        if self.pid is None or self.since is None:
            return "another process"
        return f"process {self.pid} since {self.since:%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def holding(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at ``path`` inside the block; the file may be removed inside it.

    Raises HeldError, saying by whom ``what`` is held, when it is not free within a second.
    """
    descriptor = _take(path)
    if descriptor is None:
        raise HeldError(f"{what} is held by {_holder(path)}")
    try:
        content = json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat()}).encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock now; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(path)
    finally:
        os.close(descriptor)
    return None


def _take(path: Path) -> int | None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, descriptor):
                return descriptor
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                return None
            time.sleep(0.02)
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file was not removed, or replaced, between opening and locking it."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _holder(path: Path) -> Holder:
    try:
        entry = json.loads(path.read_text())
        return Holder(int(entry["pid"]), datetime.fromisoformat(entry["since"]))
    except (FileNotFoundError, ValueError, KeyError):
        return Holder(None, None)
