"""A command that ends with its owner: started under ``guard.py``, stopped as a whole process group."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from weakref import WeakSet

import httpx

from processes.errors import ProcessError
from processes.wait import wait_for

_GUARD = Path(__file__).with_name("guard.py")

_started: "WeakSet[Supervised]" = WeakSet()
_interrupted = threading.Event()


@dataclass(eq=False)
class Supervised:
    """A running command. ``pid`` is the command's own pid, not the guard's."""

    name: str
    pid: int
    log: Path
    _guard: subprocess.Popen[bytes]
    thread_id: int = field(default_factory=threading.get_ident)

    def running(self) -> bool:
        """Whether the command has not ended yet."""
        return self._guard.poll() is None

    def wait(self, timeout_s: float) -> int:
        """Wait for the command to end by itself and return its exit code (128 + n for signal n).

        Raises ProcessError after ``timeout_s``; the command then still runs.
        """
        try:
            return self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"{self.name} still runs after {timeout_s:g} s") from error

    def terminate(self) -> None:
        """Begin to stop the command's process group, without waiting for its end."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()

    def stop(self) -> int:
        """Terminate the command's process group and return its exit code. Stopping twice is fine."""
        self.terminate()
        return self._guard.wait()

    def last_lines(self, count: int = 5) -> str:
        """The end of the command's output, for error messages."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-count:])


def start(
    name: str,
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    grace_s: float = 10.0,
) -> Supervised:
    """Start ``argv`` with its output (both streams) appended to the file ``log``.

    The command is stopped by ``Supervised.stop`` or by the death of this process. ``env`` is the whole environment
    (None: inherited). Raises ProcessError when the command cannot be executed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    read_fd, write_fd = os.pipe()
    try:
        with log.open("ab") as output:
            guard = _spawn_guard(argv, output, write_fd, grace_s, env, cwd)
        os.close(write_fd)
        write_fd = -1
        with os.fdopen(os.dup(read_fd), "rb") as answer:
            said = answer.readline().decode().strip()
    finally:
        os.close(read_fd)
        if write_fd >= 0:
            os.close(write_fd)
    if not said.isdigit():
        guard.wait()
        raise ProcessError(f"{name}: cannot start {argv[0]!r}: {said.removeprefix('error ') or 'its guard died'}")
    process = Supervised(name=name, pid=int(said), log=log, _guard=guard)
    _started.add(process)
    if _interrupted.is_set() and threading.current_thread() is not threading.main_thread():
        process.stop()
        raise ProcessError(f"{name}: interrupted")
    return process


def interrupt_other_threads() -> None:
    """Begin to stop what other threads started, and let them start no more: whoever waits there sees it end."""
    _interrupted.set()
    for process in list(_started):
        if process.thread_id != threading.get_ident() and process.running():
            process.terminate()


def _spawn_guard(
    argv: Sequence[str],
    output: IO[bytes],
    pid_fd: int,
    grace_s: float,
    env: Mapping[str, str] | None,
    cwd: Path | None,
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_GUARD), str(pid_fd), str(grace_s), *argv],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=(pid_fd,),
        start_new_session=True,
        env=None if env is None else dict(env),
        cwd=cwd,
    )


@contextmanager
def supervised(
    name: str,
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    grace_s: float = 10.0,
) -> Iterator[Supervised]:
    """``start``, and ``stop`` at the end of the block, whatever happens inside."""
    process = start(name, argv, log=log, env=env, cwd=cwd, grace_s=grace_s)
    try:
        yield process
    finally:
        process.stop()


def wait_until_ready(process: Supervised, url: str, *, timeout_s: float) -> float:
    """Poll ``url`` until it answers 200 and return the seconds from now to then.

    Raises ProcessError at once when the process ends, and after ``timeout_s``.
    """
    started = time.monotonic()
    with httpx.Client(timeout=2.0, trust_env=False) as client:

        def ready() -> bool:
            if not process.running():
                raise ProcessError(
                    f"{process.name} ended before it was ready; its last output:\n{process.last_lines()}"
                )
            try:
                return client.get(url).status_code == 200
            except httpx.TransportError:
                return False

        wait_for(ready, what=f"{process.name} ready at {url}", timeout_s=timeout_s)
    return time.monotonic() - started
