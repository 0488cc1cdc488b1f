"""Journals and windows of soaks, made by hand: a machine whose clocks do what a test wants."""

from dataclasses import dataclass, field, replace

from loadtests.soak_gaps import Segment
from loadtests.soak_journal import Entry
from loadtests.windows import Window
from processes.clocks import Clocks
from tests.unit.loadtests.test_windows import window

WALL_S = 1_700_000_000.0


@dataclass
class Machine:
    """Clocks that only the test moves, and the journal and segments of the soak that runs on it."""

    wall_s: float = WALL_S
    boot_s: float = 5000.0
    monotonic_s: float = 5000.0
    boots: int = 1
    entries: list[Entry] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    sampled_s: list[float] = field(default_factory=list)

    def log(self, event: str, **detail: object) -> None:
        clocks = Clocks(f"boot {self.boots}", self.wall_s, self.boot_s, self.monotonic_s)
        self.entries.append(Entry(event, clocks, detail))

    def pass_by(self, seconds: float) -> None:
        self.wall_s += seconds
        self.boot_s += seconds
        self.monotonic_s += seconds

    def set_clock(self, by_s: float) -> None:
        self.wall_s += by_s

    def suspend(self, seconds: float) -> None:
        self.wall_s += seconds
        self.boot_s += seconds

    def restart(self, seconds: float) -> None:
        self.wall_s += seconds
        self.boots += 1
        self.boot_s = self.monotonic_s = 20.0

    def begin_runner(self) -> None:
        self.log("runner-began", pid=1, by="ada", not_before_s=None)

    def load(
        self,
        windows: int,
        *,
        ended: bool = True,
        cause: str | None = None,
        held: bool = True,
        served: bool = True,
        suspended: tuple[int, float] | None = None,
    ) -> None:
        """A segment of windows of 10 s, placed after its first; ``suspended`` after so many, for so long."""
        number = len(self.segments) + 1
        self.log("segment-began", segment=number)
        began_wall_s = self.wall_s
        made: list[Window] = []
        for n in range(windows):
            if suspended is not None and n == suspended[0]:
                self.suspend(suspended[1])
                self.log("clocks")
            self.pass_by(10.0)
            at_s = began_wall_s + 10.0 * n
            made.append(replace(window(at_s, **({} if held else {"latencies_us": (), "offered": 9})), sequence=n))
            if not served:
                made[-1] = replace(made[-1], rate_limited=made[-1].completed)
            if n == 0:
                self.log("segment-placed", segment=number)
        if ended:
            self.log("segment-ended", segment=number, cause=cause)
        self.segments.append(Segment(number, made))
