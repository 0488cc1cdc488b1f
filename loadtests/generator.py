"""Locust as a process of its own: it never shares one with Prefect, whose event loop its monkey patching stops."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.schedule import Shape, constant, duration_s
from loadtests.settings import DRAIN_S, VARIABLE, WRONG_LOCUSTFILE, Settings, settings_text
from loadtests.windows import Window, parse_windows, read_windows
from processes.errors import CollectError, UsageError
from processes.supervised import Supervised, supervised
from processes.wait import wait_for

HANGS_AFTER_S = 15.0
"""A generator that shows no life for so long hangs, or was stopped."""

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")
_ROOT = Path(__file__).resolve().parents[1]
_STARTS_WITHIN_S = 60.0
_DRAINS_WITHIN_S = 60.0


@dataclass(frozen=True)
class Load:
    """What to offer to ``url``: a journey of a locustfile at a rate of arrivals a second, for a time.

    ``journey`` None: the tasks of an ordinary locustfile. ``shape``, where it is given, is the rate over time in place
    of ``rate_per_s`` for ``duration_s``. ``workers``, ``remote_workers`` and ``bind`` as in ``Settings``.
    """

    url: str
    locustfile: Path
    journey: str | None
    rate_per_s: float
    duration_s: float
    seed: int
    window_s: float
    shape: Shape | None = None
    workers: int = 1
    remote_workers: int = 0
    bind: str = "127.0.0.1:0"


@dataclass(frozen=True)
class Generator:
    """A running generator and the file of its windows, which held ``before`` windows when it was started."""

    process: Supervised
    settings: Settings
    windows_file: Path
    before: int
    _read: list[Window] = field(default_factory=list)
    _offset: list[int] = field(default_factory=lambda: [0])

    def windows(self) -> list[Window]:
        """The windows that have ended so far. Only what is new in the file is read."""
        if self.windows_file.exists():
            with self.windows_file.open("rb") as file:
                file.seek(self._offset[0])
                content = file.read()
            complete = content[: content.rfind(b"\n") + 1]
            self._read.extend(parse_windows(complete, str(self.windows_file)))
            self._offset[0] += len(complete)
        return list(self._read)

    def begun(self) -> bool:
        """Whether it has written its first window.

        Raises CollectError when it ended before that, and UsageError when the locustfile is why.
        """
        if not self.process.running() and len(self.windows()) == self.before:
            if self.process.wait(1.0) == WRONG_LOCUSTFILE:
                raise UsageError(self.process.last_lines(1))
            said = self.process.last_lines(8)
            raise CollectError(f"{self.process.name} ended before it began; its last output:\n{said}")
        return len(self.windows()) > self.before

    @property
    def begins_within_s(self) -> float:
        """How long it takes at most until the first window."""
        joins_s = self.settings.joins_within_s if self.settings.distributed else 0.0
        return _STARTS_WITHIN_S + joins_s + self.settings.window_s

    def drain(self) -> None:
        """Let no arrival begin any more, without waiting: what was begun is waited for, and the last window written."""
        if self.process.running():
            os.kill(self.process.pid, signal.SIGTERM)

    def wait(self, *, every_s: float, tell: Callable[[list[Window]], bool]) -> None:
        """Wait until the generator ends by itself, showing ``tell`` the windows meanwhile; False from it ends the wait.

        Raises CollectError when it ended with an error, or showed no life for ``HANGS_AFTER_S`` seconds, and
        ProcessError when it is not over two minutes after its time.
        """
        ended = False
        alive = life_watch(self.heartbeat_file)
        told_s = -every_s

        def over() -> bool:
            nonlocal ended, told_s
            ended = not self.process.running()
            if not ended and not alive():
                os.kill(self.process.pid, signal.SIGKILL)  # what was stopped cannot be asked to end
                raise CollectError(
                    f"{self.process.name} shows no life for {HANGS_AFTER_S:g} s: it hangs, or was stopped"
                )
            if not ended and time.monotonic() - told_s < every_s:
                return False
            told_s = time.monotonic()
            return not tell(self.windows()) or ended

        within_s = duration_s(self.settings.shape) + _STARTS_WITHIN_S + _DRAINS_WITHIN_S
        poll_s = min(every_s, 1.0)
        wait_for(over, what=f"{self.process.name} at its end", timeout_s=within_s, interval_s=poll_s)
        if ended and (code := self.process.wait(1.0)) != 0:
            raise CollectError(f"{self.process.name} ended with {code}; its last output:\n{self.process.last_lines()}")

    @property
    def heartbeat_file(self) -> Path:
        """The file that the generator touches every second."""
        return Path(self.settings.heartbeat_file)


def life_watch(heartbeat: Path, clock: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
    """A function that says at each call whether the file was touched within ``HANGS_AFTER_S``.

    Time in which nobody asked counts as two seconds at most: a caller that was itself stopped has seen nothing.
    """
    seen_ns, silent_s, asked_s = 0, 0.0, clock()

    def alive() -> bool:
        nonlocal seen_ns, silent_s, asked_s
        now_s = clock()
        silent_s += min(now_s - asked_s, 2.0)
        asked_s = now_s
        touched_ns = heartbeat.stat().st_mtime_ns if heartbeat.exists() else 0
        if touched_ns != seen_ns:
            seen_ns, silent_s = touched_ns, 0.0
        return silent_s < HANGS_AFTER_S

    return alive


@contextmanager
def generating(load: Load, work_dir: Path, *, name: str) -> Iterator[Generator]:
    """Start Locust on ``load`` and wait for its first window; drained and stopped at the end of the block.

    Raises UsageError when the locustfile has no such journey, CollectError when workers are missing or nothing is
    offered.
    """
    with starting(load, work_dir, name=name) as generator:
        what = f"{generator.process.name}: its first window"
        wait_for(generator.begun, what=what, timeout_s=generator.begins_within_s)
        yield generator


@contextmanager
def starting(load: Load, work_dir: Path, *, name: str) -> Iterator[Generator]:
    """The same without waiting: ``Generator.begun`` says when it offers load."""
    windows_file = work_dir / f"{name}.windows.jsonl"
    settings = Settings(
        url=load.url,
        locustfile=str(load.locustfile.resolve()),
        journey=load.journey,
        shape=load.shape or constant(load.rate_per_s, load.duration_s),
        seed=load.seed,
        window_s=load.window_s,
        windows_file=str(windows_file.resolve()),
        heartbeat_file=str((work_dir / f"{name}.heartbeat").resolve()),
        workers=load.workers,
        remote_workers=load.remote_workers,
        bind=load.bind,
    )
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment |= {
        "HOME": str(work_dir.resolve()),  # a configuration file of the user's must not change what is measured
        "PYTHONPATH": str(_ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        VARIABLE: settings_text(settings),
    }
    argv = [sys.executable, "-m", "loadtests.locust_process"]
    log = work_dir / f"{name}.log"
    # Draining takes its time; only a generator that does not end by then is killed.
    grace_s = DRAIN_S + 10
    with supervised(
        f"the load generator {name}", argv, log=log, env=environment, cwd=work_dir, grace_s=grace_s
    ) as process:
        yield Generator(process, settings, windows_file, len(read_windows(windows_file)))
