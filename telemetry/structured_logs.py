"""Whether a log consists of JSON lines with the fields that searching it relies on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LogLines:
    """Counts of one log. ``parsed`` lines are JSON objects with every required field; ``bad`` has up to 3 others."""

    lines: int
    parsed: int
    bad: tuple[str, ...]


def read_log(path: Path, fields: Sequence[str]) -> LogLines:
    """Count the lines of a log that may still be written: an unterminated last line and blank ones do not count."""
    whole, _, _ = path.read_text(errors="replace").rpartition("\n")
    lines = [line for line in whole.split("\n") if line.strip()]
    bad = [line for line in lines if not _has(line, fields)]
    return LogLines(len(lines), len(lines) - len(bad), tuple(line[:200] for line in bad[:3]))


def _has(line: str, fields: Sequence[str]) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and all(field in entry for field in fields)
