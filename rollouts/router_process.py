"""What the routers of this package have in common: a process, its lease, its request log and its socket's folder."""

import shutil
import tempfile
from pathlib import Path

from processes.supervised import Supervised
from rollouts.lease import Lease
from rollouts.request_log import RequestLog
from rollouts.samples import RequestSample


class RouterProcess:
    """Base of a router that runs as a process of its own. See ``Router`` for the methods."""

    def __init__(self, candidate_url: str, log: Path) -> None:
        self._lease = Lease(candidate_url)
        self._folder = Path(tempfile.mkdtemp(prefix="gonogo-"))  # short: a socket's path holds 108 bytes at most
        self._log = RequestLog(log)
        self._process: Supervised | None = None

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
