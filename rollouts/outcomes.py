"""Outcomes of users as somebody else recorded them: read strictly, since half a file must not pass for all of it."""

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite, nan
from pathlib import Path

import httpx
import numpy as np

from decision.ab_metrics import Outcomes
from decision.objectives import Stage
from processes.errors import InputError, first_line
from rollouts.ab_rows import Texts, columns_of
from rollouts.ab_units import Floats

_LARGEST_BYTES = 256_000_000


@dataclass(frozen=True)
class OutcomeRows:
    """Columns of equal length, by column name. ``users`` are ids, "" where none is written; numbers are NaN there."""

    users: Texts
    at_s: Floats | None
    numbers: dict[str, Floats]
    segments: dict[str, Texts]


def fetch_outcomes(outcomes: Outcomes, base: Path, timeout_s: float) -> bytes:
    """The bytes of a file, whose path starts from ``base``, or of a URL. Raises InputError."""
    try:
        if outcomes.is_url:
            content = _get(outcomes, base, timeout_s)
        else:
            with (base / outcomes.source).open("rb") as file:
                content = file.read(_LARGEST_BYTES + 1)
    except (OSError, httpx.HTTPError) as error:
        said = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"cannot be read: {said}") from error
    if len(content) > _LARGEST_BYTES:
        raise InputError(f"is larger than {_LARGEST_BYTES:,} bytes")
    return content


def _get(outcomes: Outcomes, base: Path, timeout_s: float) -> bytes:
    headers, until_s, content = {"Accept": "text/csv"}, time.monotonic() + timeout_s, bytearray()
    if outcomes.token_file is not None:
        headers["Authorization"] = f"Bearer {(base / outcomes.token_file).read_text().strip()}"
    with (
        httpx.Client(timeout=timeout_s, trust_env=False) as client,
        client.stream("GET", outcomes.source, headers=headers) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise InputError(f"answered {answer.status_code}")
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > _LARGEST_BYTES:
                break
            if time.monotonic() > until_s:
                raise InputError(f"did not answer within {timeout_s:g} s")
    return bytes(content)


def read_outcomes(content: bytes, outcomes: Outcomes, stage: Stage) -> OutcomeRows:
    """The columns that a stage's A/B test needs, of CSV with a header. Raises InputError for anything doubtful.

    An empty field is a missing value; anything else that is no finite number is an error, and so is a row of another
    length than the header, or a last line that does not end.
    """
    header, lines = _lines(content)
    numbers, segments = columns_of(stage.metrics), stage.analysis.segments
    wanted = [outcomes.user, *([outcomes.time] if outcomes.time else []), *numbers, *segments]
    for column in wanted:
        if header.count(column) != 1:
            raise InputError(f"has {header.count(column) or 'no'} column {column!r}; it has {', '.join(header[:20])}")
    texts = {column: [line[header.index(column)].strip() for line in lines] for column in wanted}
    at_s = None
    if outcomes.time is not None:
        at_s = np.array([_epoch_s(text, row) for row, text in enumerate(texts[outcomes.time], start=2)], dtype=float)
    return OutcomeRows(
        users=_texts(texts[outcomes.user]),
        at_s=at_s,
        numbers={column: _numbers(texts[column], column) for column in numbers},
        segments={column: _texts(texts[column]) for column in segments},
    )


def _lines(content: bytes) -> tuple[list[str], list[list[str]]]:
    if not content:
        raise InputError("is empty")
    if not content.endswith(b"\n"):
        raise InputError("its last line does not end: it was cut off, or is being written")
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text") from error
    except csv.Error as error:
        raise InputError(f"is no CSV: {error}") from error
    header, rows = [name.strip() for name in lines[0]], lines[1:]
    if not rows:
        raise InputError("holds no rows")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"line {number} has {len(row)} fields, expected {len(header)}")
    return header, rows


def _numbers(texts: Sequence[str], column: str) -> Floats:
    values = np.array([_number(text) if text else 0.0 for text in texts], dtype=float)
    if len(wrong := np.flatnonzero(~np.isfinite(values))):
        row = int(wrong[0])
        raise InputError(f"line {row + 2}: column {column}: expected a number, or nothing, and found {texts[row]!r}")
    values[[not text for text in texts]] = nan
    return values


def _number(text: str) -> float:
    """NaN for what is none."""
    try:
        return float(text)
    except ValueError:
        return nan


def _epoch_s(text: str, row: int) -> float:
    if isfinite(value := _number(text)):
        return value
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"line {row}: expected a time such as 2026-01-12T14:00:00Z, and found {text!r}") from error
    if at.tzinfo is None:
        raise InputError(f"line {row}: the time {text} has no zone")
    return at.timestamp()


def _texts(texts: Sequence[str]) -> Texts:
    return np.array(texts, dtype=object)
