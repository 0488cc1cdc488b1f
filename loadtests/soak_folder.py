"""The folder of a soak: all that is known of it. Windows and samples are written there as they come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.soak_gaps import Segment
from loadtests.soak_journal import Entry, parse_journal
from loadtests.windows import Window, parse_numbered_windows, parse_windows
from processes.errors import CollectError
from processes.lines import complete_lines

JOURNAL = "journal.jsonl"
SAMPLES = "samples.jsonl"
WINDOWS = "windows.jsonl"
CONTROL_WINDOWS = "control.windows.jsonl"

STOP = "stop.json"
"""A person's request that the runner stop: its content says whose."""

LOCK = "lock"

_OF_TARGET, _OF_CONTROL = "soak", "control"


@dataclass(frozen=True)
class Material:
    """What a soak is computed from, as it is attached to its record. ``damaged``: lines that could not be read.

    ``read``: the segments of windows and control_windows, where they were read already; days of them take seconds.
    """

    windows: bytes
    control_windows: bytes
    samples: bytes
    journal: bytes
    damaged: int
    read: tuple[Sequence[Segment], Sequence[Segment]] | None = field(default=None, repr=False, compare=False)

    def segments(self, *, control: bool = False) -> Sequence[Segment]:
        """The segments of the target's load, or of the control's. Raises CollectError."""
        if self.read is not None:
            return self.read[control]
        return read_segments(self.control_windows, CONTROL_WINDOWS) if control else read_segments(self.windows, WINDOWS)


def generator_name(segment: int, *, control: bool = False) -> str:
    """The name under which a segment's generator writes its files."""
    return f"{_OF_CONTROL if control else _OF_TARGET}-{segment:04d}"


def read_material(folder: Path) -> Material:
    """Everything that was completely written so far, also while it goes on."""
    windows, segments, damaged = _gather(folder, _OF_TARGET)
    control_windows, of_control, damaged_too = _gather(folder, _OF_CONTROL)
    samples, journal = complete_lines(folder / SAMPLES), complete_lines(folder / JOURNAL)
    return Material(windows, control_windows, samples, journal, damaged + damaged_too, (segments, of_control))


def read_journal(folder: Path) -> list[Entry]:
    """The journal so far; empty where no soak has begun."""
    return parse_journal(complete_lines(folder / JOURNAL), str(folder / JOURNAL))


def read_segments(content: bytes, name: str) -> list[Segment]:
    """The windows of all segments as ``read_material`` gathered them. Raises CollectError."""
    segments: dict[int, list[Window]] = {}
    for number, window in parse_numbered_windows(content, name):
        segments.setdefault(number, []).append(window)
    return [Segment(number, windows) for number, windows in sorted(segments.items())]


def windows_of(folder: Path, segment: int) -> list[Window]:
    """The windows that a segment has brought."""
    _, segments, _ = _gather(folder, generator_name(segment))
    return [window for one in segments for window in one.windows]


def _gather(folder: Path, of: str) -> tuple[bytes, list[Segment], int]:
    """The windows of all segments, each line with the number of its segment; the same read; how many were damaged.

    A line that a full disk or a crash damaged is left out: its time is then a gap.
    """
    lines, segments, damaged = [], list[Segment](), 0
    for file in sorted(folder.glob(f"{of}*.windows.jsonl")):
        number, windows = int(file.name.split(".")[0].rpartition("-")[2]), list[Window]()
        for line in complete_lines(file).decode(errors="replace").splitlines(keepends=True):
            try:
                windows += parse_windows(line.encode(), file.name)
            except CollectError:
                damaged += 1
                continue
            lines.append(f'{{"segment": {number}, {line[1:]}')
        if windows:
            segments.append(Segment(number, windows))
    return "".join(lines).encode(), sorted(segments, key=lambda segment: segment.number), damaged
