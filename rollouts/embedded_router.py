"""The embedded proxy as a rollout's router, for a machine without HAProxy."""

import json
import platform
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from processes.errors import ProcessError
from processes.ports import free_port
from processes.supervised import Supervised, start
from processes.wait import wait_for
from rollouts.assignment import salt_key
from rollouts.lease import PATH, Lease
from rollouts.request_log import RequestLog
from rollouts.samples import RequestSample

_ROOT = Path(__file__).resolve().parents[1]
_CONTROL_TIMEOUT_S = 5.0


class EmbeddedRouter:
    """A running ``rollouts.embedded_proxy``, controlled over a socket that only this user may open."""

    kind = "embedded"

    def __init__(self, *, stable_url: str, candidate_url: str, salt: str, work_dir: Path) -> None:
        self.version = f"embedded proxy on Python {platform.python_version()}"
        self._lease = Lease(candidate_url)
        self._folder = Path(tempfile.mkdtemp(prefix="gonogo-"))  # short: a socket's path holds 108 bytes at most
        self._control = self._folder / "control.sock"
        self._process: Supervised | None = None
        try:
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            self._log = RequestLog((work_dir / "embedded-router.log").resolve())
            settings = {
                "port": port,
                "stable_url": stable_url,
                "candidate_url": candidate_url,
                "lease_url": f"http://127.0.0.1:{self._lease.port}{PATH}",
                "control": str(self._control),
                "salt_key": salt_key(salt),
            }
            argv = [sys.executable, "-m", "rollouts.embedded_proxy", json.dumps(settings)]
            self._process = start("embedded router", argv, log=self._log.path, cwd=_ROOT)
            wait_for(self._ready, what="embedded router ready", timeout_s=20)
        except BaseException:
            self.close()
            raise

    def set_share(self, slots: int, salt: str | None = None) -> None:
        """See ``Router``."""
        self._send({"slots": slots, "salt_key": None if salt is None else salt_key(salt)})

    def renew_lease(self) -> None:
        """See ``Router``."""
        self._lease.renew()

    def requests_since(self, cursor: int) -> tuple[list[RequestSample], int]:
        """See ``Router``."""
        return self._log.since(cursor)

    def close(self) -> None:
        """See ``Router``."""
        if self._process is not None:
            self._process.stop()
        if self._folder.exists():
            self._lease.close()
            shutil.rmtree(self._folder)

    def _ready(self) -> bool:
        assert self._process is not None
        if not self._process.running():
            raise ProcessError(f"the embedded router ended before it was ready; {self._process.last_lines()}")
        return self._control.exists()

    def _send(self, command: dict[str, object]) -> None:
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(_CONTROL_TIMEOUT_S)
                control.connect(str(self._control))
                control.sendall(json.dumps(command).encode() + b"\n")
                answer = control.recv(4096)
        except OSError as error:
            raise ProcessError(f"the embedded router does not answer: {error}") from error
        if answer != b"ok\n":
            raise ProcessError(f"the embedded router refused {command}: {answer!r}")
