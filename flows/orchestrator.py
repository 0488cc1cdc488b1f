"""Prefect's API: the one that ``PREFECT_API_URL`` names, or an embedded one that lives as long as this process.

The embedded API takes 14 to 21 s to come up: it is started early, beside other work, and only when something must run.
This module imports no Prefect: what it sets must stand in the environment before Prefect is imported.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes.ports import free_port
from processes.supervised import Supervised, supervised, wait_until_ready

_CONSOLE = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
"""Of Prefect's log only what goes to the terminal: a server's own record of a run stays as it is."""

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # what fails is told by our own progress, in a line
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_CLIENT_MAX_RETRIES": "12",  # with the default of 5, a subflow fails when the API is away for 18 s
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "GX_ANALYTICS_ENABLED": "false",
}


@contextmanager
def orchestrator(home: Path) -> Iterator[Supervised | None]:
    """Start the embedded API, not yet ready; None when ``PREFECT_API_URL`` names a server."""
    if os.environ.get("PREFECT_API_URL"):
        os.environ.setdefault(_CONSOLE, "CRITICAL")
        yield None
        return
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    os.environ["PREFECT_HOME"] = str(home / "prefect")
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    argv += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--timeout-keep-alive", "30"]
    with supervised("the embedded Prefect API", argv, log=home / "logs" / "prefect.log", grace_s=3) as server:
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        try:
            yield server
        finally:
            del os.environ["PREFECT_API_URL"]


def wait_for_orchestrator(server: Supervised | None) -> None:
    """Wait until the embedded API answers. Raises ProcessError."""
    if server is not None:
        wait_until_ready(server, f"{os.environ['PREFECT_API_URL']}/health", timeout_s=180)
