"""One process at a time for a rollout: a lock that ends with its process, however that ends."""

import fcntl
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from evidence.database import LedgerError, reason
from processes.errors import ProcessError

_LOCK = 0x676F6E6F << 32
"""Apart from the ledger's own lock; the lower half tells rollouts apart."""
_RETRY_S = 0.05


class AnotherAtWork(ProcessError):
    """Another process works on this rollout."""


Take = Callable[[], str | None]
"""Tries to take a lock; returns who holds it, None when it was taken."""


@contextmanager
def exclusively(engine: Engine, rollout_id: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Nobody else works on the rollout inside the block.

    PostgreSQL keeps an advisory lock for the session; with SQLite it is a lock on a file beside the database. Raises
    AnotherAtWork when somebody else does, and still does after ``wait_s``; LedgerError when the lock cannot be kept.
    """
    locked = _locked_in_postgresql if engine.dialect.name == "postgresql" else _locked_file
    with locked(engine, rollout_id) as take:
        if wait_s == 0 and take():
            raise AnotherAtWork("another tick is at work on this rollout; this one ends")
        if wait_s > 0:
            _wait_for(take, wait_s)
        yield


def _wait_for(take: Take, wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    while holder := take():
        if time.monotonic() > until_s:
            raise AnotherAtWork(
                f"{holder} has been at work on this rollout for {wait_s:g} s, and nothing was ordered; "
                "if it hangs, end it, and order again"
            )
        time.sleep(_RETRY_S)


def only_one_at(control: Path) -> None:
    """From here on this process, and the program that it becomes, is the only router at a control socket.

    A second one would take the socket away from the first before it finds the port taken, and the first would go on
    with nobody to tell it to go back. Raises AnotherAtWork, and ProcessError when the lock cannot be kept.
    """
    lock = control.with_name(f"{control.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(held, True)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise AnotherAtWork(f"another router is at work at {control}; this one ends") from error
    except OSError as error:
        raise ProcessError(f"{lock} cannot be locked: {error.strerror}") from error


@contextmanager
def _locked_in_postgresql(engine: Engine, rollout_id: str) -> Iterator[Take]:
    key = {"key": _LOCK | zlib.crc32(rollout_id.encode())}
    with _told("the rollout cannot be locked"):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def take() -> str | None:
        with _told("the rollout cannot be locked"):
            taken = connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), key)
        return None if taken else "another process"

    try:
        yield take
    except BaseException:
        connection.invalidate()  # the lock ends with its connection, and what went wrong is told as it is
        connection.close()
        raise
    with _told("the rollout's lock was lost"), connection:
        connection.execute(text("SELECT pg_advisory_unlock_all()"))


@contextmanager
def _locked_file(engine: Engine, rollout_id: str) -> Iterator[Take]:
    database = Path(str(engine.url.database)).resolve()  # one lock, whatever link leads to it
    path = database.with_name(f"{database.name}.{zlib.crc32(rollout_id.encode()):08x}.lock")
    try:
        file = path.open("a+")
    except OSError as error:
        raise LedgerError(f"{path}: the rollout cannot be locked: {error.strerror}") from error
    with file:

        def take() -> str | None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                return f"process {file.read().strip() or '(unknown)'}"
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            return None

        yield take


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise LedgerError(f"{what}: {reason(error)}") from error
