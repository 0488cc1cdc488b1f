"""Samples of what the soaked processes use, and the lives of the processes that they are of."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.soak_journal import Role
from processes.errors import CollectError
from processes.lines import append_line
from processes.resources import Resources


@dataclass(frozen=True)
class Sample:
    """One reading of target and control at a time of the soak's clock; None where there was nothing to be read."""

    at_s: float
    target: Resources | None
    control: Resources | None


def append_sample(path: Path, sample: Sample) -> None:
    """Append a sample to a JSON-lines file, durably. Raises OSError."""
    append_line(path, asdict(sample))


def parse_samples(content: bytes, name: str) -> list[Sample]:
    """The samples of JSON lines; what follows the last line end does not count.

    A damaged line is a missing sample, at the time of the one before it. Raises CollectError when no line is a sample.
    """
    samples: list[Sample] = []
    lines = content.decode(errors="replace").split("\n")[:-1]
    damaged = 0
    for line in lines:
        try:
            samples.append(_sample(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged += 1
            samples.append(Sample(samples[-1].at_s if samples else 0.0, None, None))
    if damaged and damaged == len(lines):
        raise CollectError(f"{name}: none of its {damaged} lines is a sample")
    return samples


def _sample(line: str) -> Sample:
    entry = json.loads(line)
    at_s = float(entry["at_s"])
    if not math.isfinite(at_s):
        raise ValueError("a sample at no time")
    return Sample(at_s, _resources(entry["target"]), _resources(entry["control"]))


def _resources(entry: dict[str, Any] | None) -> Resources | None:
    if entry is None:
        return None
    resources = Resources(**entry)
    needed = (resources.created_at_s, resources.rss_bytes, resources.cpu_s)
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in needed):
        raise ValueError("a reading without numbers")
    return resources


Reading = tuple[float, Resources]
"""When, and what was read."""


def readings_of(samples: Sequence[Sample], role: Role) -> list[Reading]:
    """The readings of the target, or of its control, that there are."""
    readings = [(sample.at_s, sample.target if role == "target" else sample.control) for sample in samples]
    return [(at_s, reading) for at_s, reading in readings if reading is not None]


def lives_of(readings: Sequence[Reading]) -> list[list[Reading]]:
    """The readings by the process that they are of: a restart resets the age of every leak."""
    lives: dict[tuple[int | None, float], list[Reading]] = {}
    for at_s, reading in readings:
        lives.setdefault((reading.pid, reading.created_at_s), []).append((at_s, reading))
    return list(lives.values())


def longest_life(readings: Sequence[Reading]) -> list[Reading]:
    """The readings of the process that lived longest."""
    return max(lives_of(readings), key=lambda life: life[-1][0] - life[0][0], default=[])
