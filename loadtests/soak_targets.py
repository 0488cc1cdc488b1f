"""The processes that are soaked: started when there is none, and started again when one has ended."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from loadtests.soak_journal import Role
from processes.resources import is_alive
from processes.target import Target

StartTarget = Callable[[str], AbstractContextManager[Target]]
"""Starts a target by its name and stops it with the block. Raises ProcessError when it does not become ready."""

_LOG_AT_MOST = 64_000_000


class SoakedTargets:
    """Target and control as they run now. Leaving the block stops both."""

    def __init__(self, start: StartTarget, names: dict[Role, str], started: Callable[[Role, Target], None]) -> None:
        self._start, self._names, self._started = start, names, started
        self._running: dict[Role, tuple[Target, ExitStack]] = {}

    def __enter__(self) -> "SoakedTargets":
        return self

    def __exit__(self, *_error: object) -> None:
        with ExitStack() as both:  # whatever stopping one raises, the other is stopped
            for _target, stack in self._running.values():
                both.push(stack)
        self._running.clear()

    def running(self, role: Role) -> Target:
        """The target in this role, started if there is none. Raises ProcessError."""
        if role not in self._running:
            stack = ExitStack()
            target = stack.enter_context(self._start(self._names[role]))
            self._running[role] = (target, stack)
            self._started(role, target)
        target = self._running[role][0]
        if target.log is not None:
            _keep_small(target.log)
        return target

    def has_ended(self, role: Role) -> bool:
        """Whether the target in this role was started, and its process is gone."""
        if role not in self._running:
            return False
        target = self._running[role][0]
        return target.pid is not None and not is_alive(target.pid)

    def get(self, role: Role) -> Target | None:
        """The target in this role; None when there is none now."""
        return self._running[role][0] if role in self._running else None

    def put_away(self, role: Role) -> None:
        """Stop what is left of the target in this role."""
        if role in self._running:
            self._running.pop(role)[1].close()


def _keep_small(log: Path) -> None:
    """Empty a log that has grown large: days of it would fill the disk. Its writer appends, so it goes on at 0."""
    if log.exists() and log.stat().st_size > _LOG_AT_MOST:
        log.write_bytes(b"")
