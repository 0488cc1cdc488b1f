"""Users who keep asking through a router, and write down what they saw: a router that dies logs nothing."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from rollouts.assignment import USER_HEADER

_USERS = 40
_AT_ONCE = 4
_PAUSE_S = 0.02
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as its user saw it: epoch seconds of its start and end; ``status`` 0: no whole answer."""

    started_at_s: float
    ended_at_s: float
    status: int

    @property
    def failed(self) -> bool:
        """No answer, or 5xx."""
        return self.status == 0 or self.status >= 500


@contextmanager
def asking(url: str, path: str) -> Iterator[list[Asked]]:
    """Four at once ask ``path`` as 40 users in turn, each on a connection of its own; yields what they saw so far."""
    address, seen, over = urlsplit(url), [], threading.Event()

    def ask(first: int) -> None:
        user = first
        while not over.wait(_PAUSE_S):
            started_at_s = time.time()
            status = _status(str(address.hostname), address.port or 80, path, f"drill-{user}")
            seen.append(Asked(started_at_s, time.time(), status))
            user = (user + _AT_ONCE) % _USERS

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _status(host: str, port: int, path: str, user: str) -> int:
    connection = HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path, headers={USER_HEADER: user, "Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()
