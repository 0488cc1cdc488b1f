"""Samples of what the soaked processes use, written as they are taken."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from processes.errors import CollectError
from processes.resources import Resources, read_resources
from processes.target import Target


@dataclass(frozen=True)
class Sample:
    """One reading of target and control at an epoch time; None where the process was gone or is not there."""

    at_s: float
    target: Resources | None
    control: Resources | None


def take_sample(at_s: float, target: Target, control: Target | None) -> Sample:
    """Read both processes now."""
    return Sample(at_s, _read(target), _read(control) if control else None)


def _read(target: Target) -> Resources | None:
    return read_resources(target.pid) if target.pid is not None else None


def append_sample(path: Path, sample: Sample) -> None:
    """Append a sample to a JSON-lines file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(sample)) + "\n")


def parse_samples(content: bytes, name: str) -> list[Sample]:
    """The samples of JSON lines; what follows the last line end does not count. Raises CollectError."""
    try:
        entries = [json.loads(line) for line in content.decode().split("\n")[:-1]]
        return [Sample(e["at_s"], _resources(e["target"]), _resources(e["control"])) for e in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise CollectError(f"{name}: not a file of samples: {error}") from error


def _resources(entry: dict[str, float] | None) -> Resources | None:
    return None if entry is None else Resources(**entry)  # type: ignore[arg-type]


def longest_life(samples: Sequence[Sample]) -> list[tuple[float, Resources]]:
    """The readings of the target process that lived longest: a restart resets the age of every leak."""
    lives: dict[tuple[int, float], list[tuple[float, Resources]]] = {}
    for sample in samples:
        if sample.target is not None:
            lives.setdefault((sample.target.pid, sample.target.created_at_s), []).append((sample.at_s, sample.target))
    return max(lives.values(), key=lambda life: life[-1][0] - life[0][0], default=[])


def restarts(samples: Sequence[Sample]) -> int:
    """How often the target was another process than before."""
    lives = {(s.target.pid, s.target.created_at_s) for s in samples if s.target is not None}
    return max(0, len(lives) - 1)
