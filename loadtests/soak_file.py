"""Read one sampled series from a CSV file of any origin."""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from processes.errors import InputError

_SECONDS = (3e8, 4.2e9)
"""Epoch seconds of 1979 to 2103; a thousand times as much are milliseconds. Anything else may be neither."""

_SEPARATORS = ",;\t"
_WITH_COMMA = r"[+-]?[\d.]*\d,\d[\d,]*"
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class SoakFile:
    """Hours since ``began_s`` (epoch seconds) and values of all rows, in the order of the file.

    What cannot be read is NaN, so that it counts as not covered; ``left_out`` says how much that is.
    """

    hours: list[float]
    values: list[float]
    began_s: float
    rows: int
    left_out: list[str]


def read_soak_file(path: Path, time: str, value: str) -> SoakFile:
    """Read the columns ``time`` and ``value`` of a CSV file, also of one that gzip compressed.

    Times are ISO 8601 (without a zone: UTC), epoch seconds or epoch milliseconds. Raises InputError for a file, a
    column, or times that cannot be used; single rows that cannot be read are counted.
    """
    frame = _read(path, [time, value])
    times, told = frame[time].str.strip(), frame[value].str.strip()
    if (commas := told[told.str.fullmatch(_WITH_COMMA)]).size:
        raise InputError(f"{path}: column {value!r} has numbers with a comma, as in {commas.iloc[0]!r}: write points")
    values = pd.to_numeric(told, errors="coerce").to_numpy(dtype=float)
    seconds = _epoch_seconds(times, f"{path}: column {time!r}")
    unknown_time, unknown_value = ~np.isfinite(seconds), ~np.isfinite(values)
    left_out = [
        f"{count} of {len(frame)} rows left out: no {what} in column {column!r}"
        for count, what, column in (
            (int(unknown_time.sum()), "time", time),
            (int((unknown_value & ~unknown_time).sum()), "number", value),
        )
        if count
    ]
    kept = ~unknown_time & ~unknown_value
    if not kept.any():
        raise InputError(f"{path}: no row has a number in column {value!r}")
    began_s = float(seconds[kept][0])
    hours = (seconds - began_s) / 3600
    return SoakFile(hours.tolist(), np.where(kept, values, np.nan).tolist(), began_s, len(frame), left_out)


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    written = _text(path)
    separator = max(_SEPARATORS, key=written.partition("\n")[0].count)
    try:
        rows = [row for row in csv.reader(io.StringIO(written), delimiter=separator, strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file: {error}") from error
    if not rows:
        raise InputError(f"{path}: the file is empty")
    names = [name.strip() for name in rows[0]]
    for column in columns:
        if (found := names.count(column)) > 1:
            raise InputError(f"{path}: {found} columns are called {column!r}")
        if not found:
            raise InputError(f"{path}: no column {column!r}; there are {', '.join(map(repr, names))}")
    if len(rows) == 1:
        raise InputError(f"{path}: the file has no rows")
    if surplus := next((row for row in rows if len(row) > len(names)), None):
        raise InputError(f"{path}: a row has {len(surplus)} fields, the header {len(names)}: {surplus!r:.100}")
    cut_off = [""] * len(names)  # the last field that there is may be half of a number
    whole = [row if len(row) == len(names) else cut_off for row in rows[1:]]
    return pd.DataFrame({column: [row[names.index(column)] for row in whole] for column in columns}, dtype=str)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(_GZIP) else content
        text = content.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: the compressed file is damaged: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text in UTF-8, as it is or compressed with gzip") from error
    if "\0" in text:
        raise InputError(f"{path}: not a text: it has NUL characters")
    return text


def _epoch_seconds(times: "pd.Series[str]", where: str) -> NDArray[np.float64]:
    numbers = pd.to_numeric(times, errors="coerce").to_numpy(dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    if len(finite) and len(finite) >= 0.5 * len(times):
        for unit in (1.0, 1000.0):
            if finite.min() >= _SECONDS[0] * unit and finite.max() <= _SECONDS[1] * unit:
                return np.asarray(numbers / unit, dtype=np.float64)
        raise InputError(
            f"{where}: numbers from {finite.min():g} to {finite.max():g} are neither epoch seconds nor epoch"
            " milliseconds; ISO 8601 always works"
        )
    parsed = pd.to_datetime(times, format="ISO8601", utc=True, errors="coerce")
    if parsed.isna().all():
        raise InputError(f"{where}: no ISO 8601 time and no epoch seconds, as in {times.iloc[0]!r}")
    # In microseconds, which hold the years 1 to 9999; in nanoseconds pandas knows none after 2262.
    moments = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    seconds = np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e6)
    return np.where((seconds >= _SECONDS[0]) & (seconds <= _SECONDS[1]), seconds, np.nan)
