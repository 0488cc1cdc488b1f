"""The journal of a soak: what happened to it and when, one durable line each. What is not in it is not known.

==================  =================================================================================
event               detail
==================  =================================================================================
runner-began        pid, by, not_before_s (where the windows and samples so far end, epoch seconds)
runner-ended        why
target-started      role (target or control), pid, url
target-ended        role: it ended by itself; alive_s: when it was last seen alive under load, None when it was not
segment-began       segment
segment-placed      segment: its first window has just been written
control-placed      segment: likewise for the control's load
segment-ended       segment, cause (None: its time was over)
control-ended       segment, cause: the control's load ended early
runner-stood-still  seconds: the runner did not run, and its load has ended meanwhile
clocks              nothing: a clock was seen to jump, or the machine to have been suspended
stop-requested      by
soak-ended          how (complete, aborted, crash-loop, stopped), why
==================  =================================================================================
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from processes.clocks import Clocks
from processes.errors import CollectError
from processes.lines import append_line

Ended = Literal["complete", "aborted", "crash-loop", "stopped"]
"""How a soak can end for good: its time was reached, a limit was broken, the target would not live; a person's word,
or the next night."""

Role = Literal["target", "control"]


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    event: str
    clocks: Clocks
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """How a soak ended, and why in words."""

    how: Ended
    why: str


def append_entry(path: Path, clocks: Clocks, event: str, **detail: Any) -> Entry:
    """Write one entry durably. Raises OSError."""
    append_line(path, {"event": event, **asdict(clocks), **detail})
    return Entry(event, clocks, detail)


def parse_journal(content: bytes, name: str) -> list[Entry]:
    """The entries of JSON lines; what follows the last line end does not count. Raises CollectError."""
    entries = []
    for number, line in enumerate(content.decode(errors="replace").split("\n")[:-1], start=1):
        try:
            detail = json.loads(line)
            readings = [float(detail.pop(key)) for key in ("wall_s", "boot_s", "monotonic_s")]
            clocks = Clocks(str(detail.pop("boot_id")), *readings)
            entries.append(Entry(str(detail.pop("event")), clocks, detail))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Left out, a death of the target or a restart of the machine could go with it: nothing is judged without.
            raise CollectError(
                f"{name}:{number}: a damaged entry of a soak's journal ({error}); what it said decides how the soak is "
                "judged. Mend the line from a copy, or move the folder away and soak again: its windows and samples "
                "can still be read"
            ) from error
    return entries


def end_of(entries: Sequence[Entry]) -> End | None:
    """How the soak ended for good; None while it may go on."""
    for entry in entries:
        if entry.event == "soak-ended":
            return End(entry.detail["how"], entry.detail["why"])
    return None


def next_segment(entries: Sequence[Entry]) -> int:
    """The number of the next segment; the first is 1."""
    return 1 + max((int(e.detail["segment"]) for e in entries if e.event == "segment-began"), default=0)


def deaths_of(entries: Sequence[Entry], role: Role) -> int:
    """How often the target, or its control, ended by itself."""
    return sum(e.event == "target-ended" and e.detail["role"] == role for e in entries)
