"""Servers of both releases, each a real process on a free port; Phase 4 on SQLite and on PostgreSQL.

Where PostgreSQL is not installed there is SQLite alone; test_databases.py is skipped then, and says so.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.postgresql import Server, find_commands, running_server

DATABASES = ["sqlite", "postgresql"] if find_commands() else ["sqlite"]


@contextmanager
def serving(release: str, **env: str) -> Iterator[httpx.Client]:
    with started(release, **env) as (client, _):
        yield client


@contextmanager
def started(
    release: str, log: Path | None = None, **env: str
) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    """A server that is ready, and its process; what it logs goes to the file ``log``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "engines.api", "--release", release, "--port", str(port)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ION_")}
    with (log or Path(os.devnull)).open("wb") as errors:
        process = subprocess.Popen(argv, env=clean | env, stderr=errors)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            _wait_until_ready(client, process)
            yield client, process
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
def postgresql() -> Iterator[Server]:
    commands = find_commands()
    assert commands is not None
    with running_server(commands) as server:
        yield server
        server.kill()  # nothing of it is kept: the checkpoint of an orderly end would take seconds


@pytest.fixture(scope="session", params=DATABASES)
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """URLs of new, empty databases of each kind."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path_factory.mktemp('ion')}/sessions.sqlite"
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database


@pytest.fixture(scope="session")
def phase4(new_database: Callable[[], str]) -> Iterator[httpx.Client]:
    with serving("phase4", ION_DATABASE_URL=new_database()) as client:
        yield client


@pytest.fixture
def serve() -> Callable[..., object]:
    return serving
