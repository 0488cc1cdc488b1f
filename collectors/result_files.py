"""Read test results of other tools, whatever their format: JUnit XML or CTRF, told apart by their first character."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from collectors.totals import Totals, finished
from processes.errors import InputError

Count = Callable[[IO[bytes], str, Totals], None]
"""Adds one file (its bytes, and its name in messages) to the totals; raises ValueError for one that is unusable."""


def read_each(paths: Iterable[Path], count: Count) -> Totals:
    """Count files by their names. Raises InputError, in one line, for one that is missing or unusable."""
    return read_named([(path.name, path) for path in paths], count)


def read_named(files: Sequence[tuple[str, Path]], count: Count) -> Totals:
    """Count files that are known by other names than their own. Raises InputError."""
    totals = Totals()
    if not files:
        raise InputError("name at least one file of test results")
    for name, path in files:
        try:
            with path.open("rb") as stream:
                count(stream, name, totals)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise InputError(f"{path}: {error}") from error
    return finished(totals)


def unique_names(paths: Sequence[Path], taken: Iterable[str]) -> list[tuple[str, Path]]:
    """Give each file a name of its own: modules of one build write files of the same name."""
    used = set(taken)
    named = []
    for number, path in enumerate(paths, start=1):
        name = path.name if path.name not in used else f"{number}-{path.name}"
        while name in used:
            name = f"{number}-{name}"
        used.add(name)
        named.append((name, path))
    return named


def begins_as_json(stream: IO[bytes]) -> bool:
    """Whether a file is JSON and not XML, by its first character; the stream must be at its beginning and seekable."""
    beginning = stream.read(4096)
    stream.seek(0)
    return beginning.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
