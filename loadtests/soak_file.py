"""Read one sampled series from a CSV file of any origin."""

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


@dataclass(frozen=True)
class SoakFile:
    """Hours since ``began_s`` (epoch seconds) and values, in the order of the file; ``left_out`` says what is not."""

    hours: list[float]
    values: list[float]
    began_s: float
    rows: int
    left_out: list[str]


def read_soak_file(path: Path, time: str, value: str) -> SoakFile:
    """Read the columns ``time`` and ``value`` of a CSV file.

    Times are ISO 8601 (without a zone: UTC), epoch seconds or epoch milliseconds. Raises InputError for a file, a
    column, or times that cannot be used; single rows that cannot be read are left out and counted.
    """
    frame = _read(path, [time, value])
    times, values = frame[time].str.strip(), pd.to_numeric(frame[value].str.strip(), errors="coerce").astype(float)
    seconds = _epoch_seconds(times, f"{path}: column {time!r}")
    unknown_time, unknown_value = ~np.isfinite(seconds), ~np.isfinite(values.to_numpy())
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
    hours = (seconds[kept] - began_s) / 3600
    return SoakFile(hours.tolist(), values.to_numpy()[kept].tolist(), began_s, len(frame), left_out)


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            header = stream.readline()
        separator = max(_SEPARATORS, key=header.count)
        frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path}: the file is empty") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, pd.errors.ParserError, ValueError) as error:
        raise InputError(f"{path}: not a CSV file: {' '.join(str(error).split())}") from error
    frame.columns = frame.columns.str.strip()
    for column in columns:
        if column not in frame.columns:
            raise InputError(f"{path}: no column {column!r}; there are {', '.join(map(repr, frame.columns))}")
    if frame.empty:
        raise InputError(f"{path}: the file has no rows")
    return frame


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
    seconds = (parsed - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return np.asarray(seconds.to_numpy(dtype=float), dtype=np.float64)
