"""Servers of both releases, each a real process on a free port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest


@contextmanager
def serving(release: str, **env: str) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "engines.api", "--release", release, "--port", str(port)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ION_")}
    process = subprocess.Popen(argv, env=clean | env, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
            _wait_until_ready(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + 60
    while True:
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass  # not listening yet
        assert process.poll() is None, "the server ended before it was ready"
        assert time.monotonic() < deadline_s, "the server did not become ready"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def phase3() -> Iterator[httpx.Client]:
    with serving("phase3") as client:
        yield client


@pytest.fixture(scope="session")
def phase4() -> Iterator[httpx.Client]:
    with serving("phase4") as client:
        yield client


@pytest.fixture
def serve() -> Callable[..., object]:
    return serving
