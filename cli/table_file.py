"""Tables given on the command line: CSV or Parquet, with columns of texts and of numbers."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from processes.errors import InputError, first_line

_NOTHING = ("", "na", "n/a", "nan", "null", "none")
_TRUTH = {"true": "1", "false": "0"}


def read_table(path: Path) -> pd.DataFrame:
    """Read a table as texts (CSV) or as it is typed (Parquet, by its suffix). Raises InputError."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return pd.read_parquet(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
            # As a header, the second of two equal names would get another one.
            header = pd.read_csv(path, dtype=str, keep_default_na=False, header=None, nrows=1, encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or 'no such file, or no Parquet'}") from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path}: is empty") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        raise InputError(f"{path}: is no table: {first_line(error).strip()}") from error
    names = header.iloc[0].str.strip()
    if twice := names[names.duplicated() & (names != "")].tolist():
        raise InputError(f"{path}: has two columns {twice[0]!r}")
    return table.rename(columns=str.strip)


def texts_of(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.object_]:
    """A column as texts without surrounding space; an empty one where nothing is written. Raises InputError."""
    values = _column(table, column, path)
    written = values.astype(object).where(values.notna(), "")
    return np.array([str(value).strip() for value in written], dtype=object)


def numbers_of(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    """A column as numbers, NaN where nothing is written; true and false are 1 and 0. Raises InputError."""
    values = _column(table, column, path)
    if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
        words = values.astype(object).where(values.notna(), "").astype(str).str.strip().str.lower().replace(_TRUTH)
        nothing = words.isin(_NOTHING)
        numbers = pd.to_numeric(words.where(~nothing, None), errors="coerce")
        wrong = numbers.isna() & ~nothing
        if wrong.any():
            row = int(np.flatnonzero(wrong.to_numpy())[0])
            raise InputError(
                f"{path}: column {column}: expected a number, found {str(values.iloc[row])!r} in row {row + 1}"
            )
        values = numbers
    numbers_array = values.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(numbers_array).any():
        row = int(np.flatnonzero(np.isinf(numbers_array))[0])
        raise InputError(f"{path}: column {column}: the number in row {row + 1} is infinite")
    return numbers_array


def _column(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    if column not in table.columns:
        raise InputError(f"{path}: has no column {column!r}; it has {', '.join(map(str, table.columns[:20]))}")
    return table[column]
