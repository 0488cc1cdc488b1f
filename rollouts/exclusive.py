"""One process at a time for a rollout: a lock that ends with its process, however that ends."""

import fcntl
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from evidence.database import LedgerError, reason
from processes.errors import ProcessError
from processes.wait import wait_for

_LOCK = 0x676F6E6F << 32
"""Apart from the ledger's own lock; the lower half tells rollouts apart."""


class AnotherAtWork(ProcessError):
    """Another process works on this rollout."""


@contextmanager
def exclusively(engine: Engine, rollout_id: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Nobody else works on the rollout inside the block.

    PostgreSQL keeps an advisory lock for the session; with SQLite it is a lock on a file beside the database. Raises
    AnotherAtWork when somebody else does, and still does after ``wait_s``.
    """
    locked = _locked_in_postgresql if engine.dialect.name == "postgresql" else _locked_file
    with locked(engine, rollout_id) as take:
        if wait_s == 0 and not take():
            raise AnotherAtWork("another tick is at work on this rollout; this one ends")
        if wait_s > 0:
            try:
                wait_for(take, what="the other process on this rollout to end", timeout_s=wait_s)
            except ProcessError as error:
                raise AnotherAtWork(str(error)) from error
        yield


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
def _locked_in_postgresql(engine: Engine, rollout_id: str) -> Iterator[Callable[[], bool]]:
    key = {"key": _LOCK | zlib.crc32(rollout_id.encode())}
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            try:
                yield lambda: bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), key))
            finally:
                connection.execute(text("SELECT pg_advisory_unlock_all()"))
    except SQLAlchemyError as error:
        raise LedgerError(f"the rollout cannot be locked: {reason(error)}") from error


@contextmanager
def _locked_file(engine: Engine, rollout_id: str) -> Iterator[Callable[[], bool]]:
    path = Path(f"{engine.url.database}.{zlib.crc32(rollout_id.encode()):08x}.lock")
    with path.open("a") as file:

        def take() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield take
