"""From recorded rows, one or several for each unit, to one entry per unit.

Each unit counts once, because it is units that were assigned. Several rows of a unit become: for a mean, the mean of
its values; for a ratio, its sums of numerators and of denominators; for a proportion they must agree. Rows without a
value are left out and counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from decision.ab_metrics import AbMetric
from processes.errors import InputError
from rollouts.ab_units import Floats, MetricValues, Units

Texts = NDArray[np.object_]

CONTROL_NAMES = ("control", "stable", "baseline")
_MOST_PARTS = 50


@dataclass(frozen=True)
class Rows:
    """Columns of equal length. ``units`` and ``arms`` are empty strings, ``numbers`` NaN, where nothing is written."""

    units: Texts
    arms: Texts
    numbers: Mapping[str, Floats]
    segments: Mapping[str, Texts] = field(default_factory=dict)


@dataclass(frozen=True)
class Grouped:
    """Units with the names of control and treatment, and what was left out (``missing_rows``: by metric)."""

    units: Units
    arms: tuple[str, str]
    rows: int
    rows_left_out: int
    missing_rows: Mapping[str, int]


def columns_of(metrics: Mapping[str, AbMetric]) -> list[str]:
    """The columns of numbers that these metrics are made of."""
    columns = {}
    for name, metric in metrics.items():
        for column in (metric.column or name, metric.denominator, metric.covariate):
            if column is not None:
                columns[column] = True
    return list(columns)


def group(rows: Rows, metrics: Mapping[str, AbMetric], control: str | None = None) -> Grouped:
    """Group rows by unit; ``control`` names the control arm. Raises InputError for what cannot be an A/B test."""
    usable = (rows.units != "") & (rows.arms != "")
    if not usable.any():
        raise InputError("no row names both a unit and an arm" if len(usable) else "holds no rows")
    ids, at = np.unique(rows.units[usable].astype(str), return_inverse=True)
    arm_of_row = rows.arms[usable].astype(str)
    control, treatment = _arms(np.unique(arm_of_row).tolist(), control)
    in_treatment = np.bincount(at, weights=arm_of_row == treatment)
    row_count = np.bincount(at)
    both = (in_treatment > 0) & (in_treatment < row_count)
    if both.any():
        others = f" and {both.sum() - 1:,} more" if both.sum() > 1 else ""
        raise InputError(f"unit {str(ids[both][0])!r}{others} is in both arms: what an arm did to it cannot be told")
    numbers = {name: column[usable] for name, column in rows.numbers.items()}
    values, missing = {}, {}
    for name, metric in metrics.items():
        values[name], missing[name] = _metric(name, metric, numbers, at, ids)
    segments = {name: _segment(name, column[usable].astype(str), at, ids) for name, column in rows.segments.items()}
    return Grouped(
        Units(in_treatment > 0, values, segments),
        (control, treatment),
        rows=len(usable),
        rows_left_out=int((~usable).sum()),
        missing_rows=missing,
    )


def _arms(names: list[str], control: str | None) -> tuple[str, str]:
    listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    if len(names) == 1:
        raise InputError(f"all rows are of one arm, {listed}: there is nothing to compare it with")
    if len(names) > 2:
        raise InputError(f"expected two arms, found {len(names)}: {listed}")
    if control is None:
        known = [name for name in names if name.lower() in CONTROL_NAMES]
        if len(known) != 1:
            raise InputError(f"which of the arms {listed} is the control? say --control ARM")
        control = known[0]
    if control not in names:
        raise InputError(f"there is no arm {control!r}: the arms are {listed}")
    return control, next(name for name in names if name != control)


def _metric(
    name: str, metric: AbMetric, numbers: Mapping[str, Floats], at: NDArray[np.intp], ids: NDArray[np.str_]
) -> tuple[MetricValues, int]:
    column = numbers[metric.column or name]
    below = numbers[metric.denominator] if metric.denominator is not None else np.ones(len(column))
    known = np.isfinite(column) & np.isfinite(below)
    if metric.type == "proportion":
        _check_zero_or_one(name, column, known, at, ids)
    if metric.type == "ratio" and (below[known] < 0).any():
        raise InputError(f"{name}: a denominator is below zero")
    counted = np.bincount(at[known], minlength=len(ids))
    total = np.bincount(at[known], weights=column[known], minlength=len(ids)).astype(float)
    total[counted == 0] = np.nan
    covariate = None
    if metric.covariate is not None:
        covariate = _mean_by_unit(numbers[metric.covariate], at, len(ids))
    if metric.type == "ratio":
        denominator = np.bincount(at[known], weights=below[known], minlength=len(ids)).astype(float)
        return MetricValues(total, denominator, covariate), int((~known).sum())
    return MetricValues(total / np.maximum(counted, 1), None, covariate), int((~known).sum())


def _check_zero_or_one(
    name: str, column: Floats, known: NDArray[np.bool_], at: NDArray[np.intp], ids: NDArray[np.str_]
) -> None:
    wrong = known & ~np.isin(column, (0.0, 1.0))
    if wrong.any():
        raise InputError(f"{name}: a proportion is made of 0 and 1, found {column[wrong][0]:g}")
    hits = np.bincount(at[known], weights=column[known], minlength=len(ids))
    mixed = (hits > 0) & (hits < np.bincount(at[known], minlength=len(ids)))
    if mixed.any():
        raise InputError(f"{name}: unit {str(ids[mixed][0])!r} has rows with 0 and rows with 1: use {name}:ratio")


def _mean_by_unit(column: Floats, at: NDArray[np.intp], units: int) -> Floats:
    known = np.isfinite(column)
    counted = np.bincount(at[known], minlength=units)
    total = np.bincount(at[known], weights=column[known], minlength=units)
    mean: Floats = np.where(counted > 0, total / np.maximum(counted, 1), np.nan)
    return mean


def _segment(name: str, column: NDArray[np.str_], at: NDArray[np.intp], ids: NDArray[np.str_]) -> NDArray[np.str_]:
    parts, part_of_row = np.unique(column, return_inverse=True)
    if len(parts) > _MOST_PARTS:
        raise InputError(f"the segment {name} has {len(parts):,} values: expected at most {_MOST_PARTS}")
    part_of_unit = np.zeros(len(ids), dtype=np.intp)
    part_of_unit[at] = part_of_row
    if (moved := part_of_unit[at] != part_of_row).any():
        raise InputError(f"the segment {name} of unit {str(ids[at[moved]][0])!r} is not the same in all its rows")
    named: NDArray[np.str_] = np.where(parts == "", "(none)", parts)[part_of_unit]
    return named
