"""The embedded proxy as a rollout's router, for a machine without HAProxy."""

import json
import socket
import sys
from pathlib import Path

from processes.errors import ProcessError
from processes.ports import free_port
from processes.supervised import start
from processes.wait import wait_for
from rollouts.assignment import salt_key
from rollouts.lease import PATH
from rollouts.router_process import RouterProcess
from rollouts.router_version import embedded_version

_ROOT = Path(__file__).resolve().parents[1]
_CONTROL_TIMEOUT_S = 5.0


class EmbeddedRouter(RouterProcess):
    """A running ``rollouts.embedded_proxy``, controlled over a socket that only this user may open."""

    kind = "embedded"

    def __init__(self, *, stable_url: str, candidate_url: str, salt: str, work_dir: Path) -> None:
        self.version = embedded_version()
        super().__init__(candidate_url, (work_dir / "embedded-router.log").resolve())
        self._control = self._folder / "control.sock"
        try:
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
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
