"""What the process of the load generator is told, as JSON in one environment variable."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from loadtests.schedule import Shape, read_shape, shape_text

VARIABLE = "GONOGO_LOAD"

ANSWER_WITHIN_S = 10.0
"""A user waits so long for an answer, or for its turn where all users of the pool wait for theirs."""

DRAIN_S = 15.0
"""What was begun may take so long after the last arrival; what is not over then is an error."""

WRONG_LOCUSTFILE = 78
"""The generator's exit code when its last line of output says what is wrong with the locustfile (EX_CONFIG)."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Settings:
    """A load. ``journey`` is None for an ordinary locustfile; ``bind`` is where workers join (HOST:PORT).

    ``workers`` processes of this machine and ``remote_workers`` of others share the schedule; one worker and no remote
    one is a generator without a master.
    """

    url: str
    locustfile: str
    journey: str | None
    shape: Shape
    seed: int
    window_s: float
    windows_file: str
    heartbeat_file: str
    workers: int = 1
    remote_workers: int = 0
    bind: str = "127.0.0.1:0"

    @property
    def distributed(self) -> bool:
        """Whether there is a master."""
        return self.workers + self.remote_workers > 1 or self.remote_workers > 0

    @property
    def joins_within_s(self) -> float:
        """How long the master waits for its workers: those of other machines are started by hand."""
        return 600.0 if self.remote_workers else 60.0


def settings_text(settings: Settings) -> str:
    """Settings as JSON."""
    return json.dumps(asdict(settings) | {"shape": shape_text(settings.shape)})


def read_settings(text: str) -> Settings:
    """What ``settings_text`` wrote."""
    entry: Mapping[str, str] = json.loads(text)
    return Settings(**{**entry, "shape": read_shape(entry["shape"])})  # type: ignore[arg-type]


def locustfile_digest(path: str) -> str:
    """The sha256 of a locustfile: workers of other machines must have the same one."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def reachable(url: str, master_host: str) -> str:
    """The target's URL for a worker: a target on the master's loopback is asked at the master's address."""
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK or master_host in _LOOPBACK:
        return url
    return urlunsplit(parts._replace(netloc=master_host if parts.port is None else f"{master_host}:{parts.port}"))
