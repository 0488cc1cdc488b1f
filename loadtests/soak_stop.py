"""A person's request that a soak's runner stop, from whatever process the person has."""

import getpass
import json
import os
from pathlib import Path

from loadtests.soak_folder import LOCK, STOP
from processes.lock import holder_of


def ask_to_stop(folder: Path) -> None:
    """Ask whoever runs the soak now to stop it. Raises OSError."""
    (folder / STOP).write_text(json.dumps({"by": user(), "of": str(holder_of(folder / LOCK))}))


def asked_to_stop(folder: Path) -> str | None:
    """Who has asked the present runner to stop; None: nobody has. A request to an earlier runner is none to this."""
    try:
        request = json.loads((folder / STOP).read_text())
        return str(request["by"]) if request["of"] == str(holder_of(folder / LOCK)) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # also one that is just being written
        return None


def user() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
