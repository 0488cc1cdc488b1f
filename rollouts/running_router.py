"""A router that runs by itself: what the ticks of a real rollout read from it and tell it.

Its lease is a time that the router keeps for itself: when no tick renews it, or the candidate accepts no connection,
everyone is on stable. A router that was restarted has no share and no lease.
"""

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from processes.errors import ProcessError
from rollouts.assignment import salt_key
from rollouts.haproxy_admin import HaproxyAdmin
from rollouts.request_log import RequestLog
from rollouts.samples import RequestSample

FOR_GOOD_S = 3650 * 86400.0
"""The lease of a completed rollout: nobody renews it any more."""
_CONTROL_TIMEOUT_S = 5.0
_READ_AT_MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class Routing:
    """What a router does now. ``lease_left_s`` is 0 when the lease has lapsed."""

    slots: int
    salt_key: str
    lease_left_s: float

    def is_as_told(self, slots: int, salt: str) -> bool:
        """Whether these slots under this salt see the canary; without slots no salt matters."""
        return self.slots == slots and (slots == 0 or self.salt_key == salt_key(salt))


class RunningRouter(Protocol):
    """Methods raise ProcessError when the router cannot be reached or does not do as told."""

    @property
    def kind(self) -> str:
        """``haproxy``, ``embedded`` or ``gateway-api``."""

    def read(self) -> Routing:
        """What it does now."""

    def set_share(self, slots: int, salt: str) -> None:
        """Expose the users of ``slots`` of 10,000 slots under ``salt``; holds on return."""

    def renew_lease(self, seconds: float) -> None:
        """Allow canary traffic for so long from now on."""

    def end_of_log(self) -> int:
        """The cursor after all that is logged now."""

    def requests_since(self, cursor: int) -> tuple[list[RequestSample], int, bool]:
        """Requests logged after ``cursor``, the next cursor, and whether that was all there is."""


@dataclass(frozen=True)
class RunningHaproxy:
    """An HAProxy with the configuration that ``gonogo rollout router`` writes. See ``RunningRouter``."""

    admin: HaproxyAdmin
    log: RequestLog
    kind: str = "haproxy"

    def read(self) -> Routing:
        """See ``RunningRouter``."""
        left_s = int(self.admin.get("lease_until_ms")) / 1000 - time.time()
        return Routing(int(self.admin.get("canary_slots")), self.admin.get("salt"), max(0.0, left_s))

    def set_share(self, slots: int, salt: str) -> None:
        """See ``RunningRouter``. A new salt passes through a share of 0: no user is hashed by half of both."""
        if slots and self.admin.get("salt") != salt_key(salt):
            self.admin.set("canary_slots", "int(0)")
            self.admin.set("salt", f"str({salt_key(salt)})")
        self.admin.set("canary_slots", f"int({slots})")

    def renew_lease(self, seconds: float) -> None:
        """See ``RunningRouter``. A clock that is set back by less than ``seconds`` does not end the lease."""
        now_s = time.time()
        self.admin.set("lease_from_ms", f"int({round((now_s - seconds) * 1000)})")
        self.admin.set("lease_until_ms", f"int({round((now_s + seconds) * 1000)})")

    def end_of_log(self) -> int:
        """See ``RunningRouter``."""
        return self.log.end()

    def requests_since(self, cursor: int) -> tuple[list[RequestSample], int, bool]:
        """See ``RunningRouter``."""
        return read_on(self.log, cursor)


@dataclass(frozen=True)
class RunningEmbedded:
    """An embedded proxy that runs by itself, controlled over its Unix socket. See ``RunningRouter``."""

    control: Path
    log: RequestLog
    kind: str = "embedded"

    def read(self) -> Routing:
        """See ``RunningRouter``."""
        return Routing(**self._send({"read": True}))

    def set_share(self, slots: int, salt: str) -> None:
        """See ``RunningRouter``."""
        self._send({"slots": slots, "salt_key": salt_key(salt)})

    def renew_lease(self, seconds: float) -> None:
        """See ``RunningRouter``."""
        self._send({"lease_s": seconds})

    def end_of_log(self) -> int:
        """See ``RunningRouter``."""
        return self.log.end()

    def requests_since(self, cursor: int) -> tuple[list[RequestSample], int, bool]:
        """See ``RunningRouter``."""
        return read_on(self.log, cursor)

    def _send(self, command: dict[str, object]) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(_CONTROL_TIMEOUT_S)
                control.connect(str(self.control))
                control.sendall(json.dumps(command).encode() + b"\n")
                answer = control.recv(4096)
        except OSError as error:
            raise ProcessError(f"the router at {self.control} does not answer: {error}") from error
        try:
            return {} if answer == b"ok\n" else dict(json.loads(answer))
        except ValueError as error:
            raise ProcessError(f"the router refused {command}: {answer!r}") from error


def read_on(log: RequestLog, cursor: int) -> tuple[list[RequestSample], int, bool]:
    """A part of the log as ``RunningRouter.requests_since`` gives it."""
    requests, read_to = log.since(cursor, at_most_bytes=_READ_AT_MOST_BYTES)
    return requests, read_to, log.end() - read_to < _READ_AT_MOST_BYTES // 2
