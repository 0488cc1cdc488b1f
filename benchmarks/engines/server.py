"""The server under the benchmark, on one core; and a bare one that answers with as many bytes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

SERVER_CORE, CLIENT_CORE = 0, 1
_READY_WITHIN_S = 120


@dataclass(frozen=True)
class Serving:
    """A server that is ready, how long that took, and the processor time that it took."""

    port: int
    process: psutil.Process
    ready_s: float
    ready_cpu_s: float

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        return float(self.process.memory_info().rss) / 1e6


@contextmanager
def serving(arguments: list[str], env: dict[str, str], ready: str) -> Iterator[Serving]:
    """Start ``python ARGUMENTS --port PORT`` on the server's core and wait until ``ready`` answers 200."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ION_")}
    began_s = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments, "--port", str(port)],
        env=clean | env,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
    ) as process:
        try:
            _wait(process, f"http://127.0.0.1:{port}{ready}", began_s)
            watched = psutil.Process(process.pid)
            times = watched.cpu_times()
            yield Serving(port, watched, time.perf_counter() - began_s, times.user + times.system)
        finally:
            process.terminate()


def _wait(process: "subprocess.Popen[bytes]", url: str, began_s: float) -> None:
    with httpx.Client(trust_env=False) as client:
        while True:
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            if process.poll() is not None or time.perf_counter() - began_s > _READY_WITHIN_S:
                raise SystemExit("the server did not become ready")
            time.sleep(0.01)


def ion(folder: Path) -> tuple[list[str], dict[str, str], str]:
    """Phase 4 with the interactions in the folder, and SQLite there."""
    env = {"ION_DATA": str(folder / "interactions.csv"), "ION_DATABASE_URL": f"sqlite:///{folder}/ion.sqlite"}
    return ["-m", "engines.api", "--release", "phase4"], env, "/health/ready"


def bare(bytes_answered: int) -> tuple[list[str], dict[str, str], str]:
    """An ASGI application without any framework or work."""
    return ["-m", "benchmarks.engines.bare", str(bytes_answered)], {}, "/"
