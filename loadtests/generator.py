"""Locust as a process of its own: it never shares one with Prefect, whose event loop its monkey patching stops."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.windows import Window, read_windows
from processes.errors import CollectError
from processes.supervised import Supervised, supervised
from processes.wait import wait_for

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")
_ROOT = Path(__file__).resolve().parents[1]
_STARTS_WITHIN_S = 60.0
_DRAINS_WITHIN_S = 60.0


@dataclass(frozen=True)
class Load:
    """What to offer to ``url``: a journey of a locustfile at a rate of requests a second, for a time."""

    url: str
    locustfile: Path
    journey: str
    rate_per_s: float
    duration_s: float
    seed: int
    window_s: float


@dataclass(frozen=True)
class Generator:
    """A running generator and the file of its windows."""

    process: Supervised
    load: Load
    windows_file: Path

    def windows(self) -> list[Window]:
        """The windows that have ended so far."""
        return read_windows(self.windows_file)

    def wait(self, *, every_s: float, tell: Callable[[list[Window]], bool]) -> None:
        """Wait until the generator ends by itself, showing ``tell`` the windows meanwhile; False from it ends the wait.

        Raises CollectError when it is not over a minute after its time, or ended with an error.
        """
        ended = False

        def over() -> bool:
            nonlocal ended
            ended = not self.process.running()
            return not tell(self.windows()) or ended

        within_s = self.load.duration_s + _STARTS_WITHIN_S + _DRAINS_WITHIN_S
        wait_for(over, what=f"{self.process.name} at its end", timeout_s=within_s, interval_s=every_s)
        if ended and (code := self.process.wait(1.0)) != 0:
            raise CollectError(f"{self.process.name} ended with {code}; its last output:\n{self.process.last_lines()}")


@contextmanager
def generating(load: Load, work_dir: Path, *, name: str) -> Iterator[Generator]:
    """Start Locust on ``load`` and wait for its first window; stopped at the end of the block.

    Raises CollectError when the locustfile has no such journey or offers nothing.
    """
    windows_file = work_dir / f"{name}.windows.jsonl"
    settings = {key: value for key, value in asdict(load).items() if key not in ("url", "locustfile")}
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment |= {
        "HOME": str(work_dir.resolve()),  # a configuration file of the user's must not change what is measured
        "PYTHONPATH": str(_ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GONOGO_LOAD": json.dumps(settings | {"windows_file": str(windows_file.resolve())}),
    }
    pool = _pool_size(load.rate_per_s)
    argv = [sys.executable, "-m", "locust", "--locustfile", str(load.locustfile.resolve()), "--headless"]
    argv += ["--host", load.url, "--users", str(pool), "--spawn-rate", str(pool), "--loglevel", "ERROR"]
    argv += ["--only-summary", "--exit-code-on-error", "0", "--stop-timeout", "5"]
    log = work_dir / f"{name}.log"
    with supervised(f"the load generator {name}", argv, log=log, env=environment, cwd=work_dir) as process:
        generator = Generator(process, load, windows_file)
        before = len(generator.windows())

        def begun() -> bool:
            if not process.running() and len(generator.windows()) == before:
                raise CollectError(f"{process.name} ended before it began; its last output:\n{process.last_lines(8)}")
            return len(generator.windows()) > before

        wait_for(begun, what=f"{process.name}: its first window", timeout_s=_STARTS_WITHIN_S + load.window_s)
        yield generator


def _pool_size(rate_per_s: float) -> int:
    """Users enough for answers of half a second; slower ones queue, and the queueing counts as latency."""
    return max(10, min(500, round(rate_per_s / 2)))
