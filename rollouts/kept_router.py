"""A router as it runs in production, for drills: a process of its own that outlives its controller, or is killed."""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from decision.rollout_spec import RunningRouter as Spec
from processes.errors import ProcessError
from processes.ports import free_port
from processes.supervised import Supervised, supervised
from processes.wait import wait_for
from rollouts.keep_router import PID_FILE
from rollouts.open_router import program_of
from rollouts.open_running import open_running
from rollouts.router_version import embedded_version, haproxy_version
from rollouts.running_router import RunningRouter

ROOT = Path(__file__).resolve().parents[1]
_READY_WITHIN_S = 20.0


@dataclass(frozen=True)
class KeptRouter:
    """A running router that is started again when it is killed. ``url`` has no trailing slash."""

    router: RunningRouter
    spec: Spec
    folder: Path
    version: str
    process: Supervised

    @property
    def url(self) -> str:
        """Where users send their requests."""
        return f"http://{self.spec.listen}"

    def kill(self) -> tuple[float, float]:
        """Kill the router; returns the epoch times of the signal and of its death. It is started again at once."""
        pid = self._pid()
        killed_at_s = time.time()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not _lives(pid), what="the router's death", timeout_s=_READY_WITHIN_S, interval_s=0.001)
        died_at_s = time.time()
        wait_for(lambda: self._pid() != pid and self._answers(), what="the router again", timeout_s=_READY_WITHIN_S)
        return killed_at_s, died_at_s

    def wait_until_ready(self) -> None:
        """Wait for the first start. Raises ProcessError."""
        wait_for(self._answers, what="the router ready", timeout_s=_READY_WITHIN_S)

    def _pid(self) -> int:
        return int((self.folder / PID_FILE).read_text())

    def _answers(self) -> bool:
        if not self.process.running():
            raise ProcessError(f"the router ended; its last output:\n{self.process.last_lines()}")
        try:
            self.router.read()
        except ProcessError:
            return False
        return True


@contextmanager
def kept_router(
    *, kind: Literal["auto", "haproxy", "embedded"], stable_url: str, candidate_url: str, work_dir: Path
) -> Iterator[KeptRouter]:
    """A router in front of both versions with everyone on stable; stopped at the end of the block.

    Raises UsageError when HAProxy is asked for and not installed, ProcessError when the router does not start.
    """
    program = program_of(kind)
    folder = Path(tempfile.mkdtemp(prefix="gonogo-"))  # short: a socket's path holds 108 bytes at most
    spec = Spec(
        kind="haproxy" if program else "embedded",
        listen=f"127.0.0.1:{free_port()}",
        stable=stable_url,
        candidate=candidate_url,
        control=folder / "router.sock",
        request_log=(work_dir / "requests.log").resolve(),
    )
    argv = [sys.executable, "-m", "rollouts.keep_router", spec.model_dump_json(), str(folder)]
    try:
        with supervised("router", argv, log=work_dir / "router.log", cwd=ROOT) as process:
            version = haproxy_version(program) if program else embedded_version()
            kept = KeptRouter(open_running(spec, folder), spec, folder, version, process)
            kept.wait_until_ready()
            yield kept
    finally:
        shutil.rmtree(folder)


def _lives(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")
