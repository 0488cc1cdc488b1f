"""What is soaked, and what its runner knows meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from decision.objectives import Slo
from decision.quantities import duration_text
from loadtests.samples import Sample
from loadtests.soak_folder import JOURNAL
from loadtests.soak_journal import Entry, append_entry
from loadtests.soak_result import Soaking
from loadtests.soak_targets import StartTarget
from loadtests.windows import Window
from processes.clocks import read_clocks
from processes.resources import Resources
from processes.target import Target

_SHORT_S = 600.0

SEED_OF_SEGMENT = "seed * 100000 + segment"
"""The rule of ``segment_seed``, as it is recorded."""


@dataclass(frozen=True)
class Soak:
    """What is soaked, with what, and how its resources are read. ``journey`` and ``workers`` as in ``Load``.

    ``check`` raises when an input has changed. ``tell`` is shown the share done (None: something happened) and words.
    """

    soaking: Soaking
    locustfile: Path
    journey: str | None
    rate_per_s: float
    segment_s: float
    seed: int
    slo: Slo
    start: StartTarget
    read: Callable[[Target], Resources | None]
    check: Callable[[], None]
    folder: Path
    tell: Callable[[float | None, str], None]
    workers: int = 1

    @property
    def target_s(self) -> float:
        """The seconds that are to be under load."""
        return self.soaking.target_hours * 3600

    @property
    def window_s(self) -> float:
        """How long a window is."""
        return 2.0 if self.target_s < _SHORT_S else 10.0

    @property
    def sample_s(self) -> float:
        """How far samples are apart."""
        return 1.0 if self.target_s < _SHORT_S else 10.0


def segment_seed(seed: int, segment: int) -> int:
    """The seed of a segment's load, on the target and on the control.

    Each has its own: one seed for all would send the same requests again and again, and what a target keeps of each new
    key would stop growing after the first segment.
    """
    return seed * 100_000 + segment


@dataclass
class Run:
    """What one runner knows: the journal, what is under load, and the latest windows and samples of one life."""

    soak: Soak
    entries: list[Entry]
    loaded_s: float
    windows: list[Window] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def log(self, event: str, **detail: object) -> None:
        """Write down what happened. Raises OSError."""
        self.entries.append(append_entry(self.soak.folder / JOURNAL, read_clocks(), event, **detail))

    def progress(self) -> str:
        """How far the soak is, in words."""
        return f"{duration_text(self.loaded_s)} of {duration_text(self.soak.target_s)} under load"
