"""Keep a router listening: ``python -m rollouts.keep_router SPEC FOLDER`` (JSON of ``RunningRouter``, and its folder).

Holds the listening socket and gives it to the router, as systemd does with a socket unit: while a killed router is
started again, users wait in the socket's queue. ``FOLDER/router.pid`` names the router of the moment. A router that
ends otherwise than by SIGKILL is not started again, and this process ends with it.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from decision.rollout_spec import RunningRouter
from rollouts.open_running import INHERITED_FD

PID_FILE = "router.pid"
_BACKLOG = 512


def main() -> None:
    """Keep the router until it ends."""
    spec, folder = RunningRouter.model_validate_json(sys.argv[1]), Path(sys.argv[2])
    host, port = spec.listen.rsplit(":", 1)
    listener = socket.create_server((host, int(port)), backlog=_BACKLOG)
    os.dup2(listener.fileno(), INHERITED_FD)
    argv = [sys.executable, "-m", "rollouts.open_running", *sys.argv[1:]]
    code = -signal.SIGKILL
    while code == -signal.SIGKILL:
        router = subprocess.Popen(argv, pass_fds=(INHERITED_FD,), env={**os.environ, "LISTEN_FDS": "1"})
        beside = folder / f"{PID_FILE}.new"
        beside.write_text(str(router.pid))
        beside.replace(folder / PID_FILE)
        code = router.wait()
    sys.exit(f"the router ended by itself with {code}")


if __name__ == "__main__":
    main()
