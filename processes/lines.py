"""JSON lines that survive the death of whoever writes them: durable, and a torn last line never harms the next."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Append one JSON line and force it to the disk. What an interruption left of a last line is cut off first.

    Raises OSError; what was written of the line then does not count.
    """
    line = memoryview(json.dumps(entry, allow_nan=False).encode() + b"\n")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        _cut_torn_line(descriptor)
        while line:
            line = line[os.write(descriptor, line) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def complete_lines(path: Path) -> bytes:
    """The content without what follows its last line end; empty for a file that is not there."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def _cut_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.ftruncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)
