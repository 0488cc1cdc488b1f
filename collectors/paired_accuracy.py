"""Accuracies of methods on the same cases, and their differences, with intervals. Pure: counts in, a result out.

Cases of one unit (a user) resemble each other, so the unit is what was sampled. An accuracy is the ratio of two sums
over units, right answers over cases, and so is a difference of two methods: its variance is that of the ratio estimator
(Cochran, Sampling Techniques, 3rd ed. 1977, section 6.4: the sum of squares of a unit's right - ratio * cases), and its
interval Student's t with units - 1 degrees of freedom. With one case a unit this is the paired t interval.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evidence.accuracy_result import AccuracyResult, MethodAccuracy
from processes.errors import InputError

LEVEL = 0.95
_MOST_METHODS = 20

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Outcomes:
    """Of each unit, how many cases it had, and in how many of them each method (a column) was right."""

    methods: tuple[str, ...]
    cases: Array
    right: Array


def read_outcomes(content: bytes, name: str) -> Outcomes:
    """Read a CSV file with a row per case: its ``unit``, then 1 or 0 for each method. Raises InputError."""
    try:
        rows = csv.reader(io.StringIO(content.decode()), strict=True)
        header = next(rows, [])
        methods = tuple(header[1:])
        if header[:1] != ["unit"] or not methods or len(set(methods)) < len(methods) or "" in methods:
            raise ValueError("expected a header unit,METHOD,METHOD,... of different methods")
        if len(methods) > _MOST_METHODS:
            raise ValueError(f"expected at most {_MOST_METHODS} methods")
        units: dict[str, list[int]] = {}
        for row in rows:
            if len(row) != len(header) or not row[0] or not set(row[1:]) <= {"0", "1"}:
                raise ValueError(f"row {rows.line_num}: expected a unit and 1 or 0 for each method")
            counted = units.setdefault(row[0], [0] * len(header))
            counted[0] += 1
            for place, value in enumerate(row[1:], start=1):
                counted[place] += value == "1"
    except (ValueError, csv.Error) as error:
        raise InputError(f"{name}: {error}") from error
    table = np.array(list(units.values()), dtype=float).reshape(len(units), len(header))
    return Outcomes(methods, table[:, 0], table[:, 1:])


def compare(outcomes: Outcomes, candidate: str, baseline: str) -> AccuracyResult:
    """The candidate beside all methods, the baseline among them. Raises InputError when one is not there."""
    for method in (candidate, baseline):
        if method not in outcomes.methods:
            raise InputError(f"no method {method!r}, only {', '.join(outcomes.methods)}")
    right = {method: outcomes.right[:, place] for place, method in enumerate(outcomes.methods)}
    cases = int(outcomes.cases.sum())
    methods = [_method(method, own, right[candidate], outcomes.cases) for method, own in right.items()] if cases else []
    by_name = {method.method: method for method in methods}
    against = by_name.get(baseline)
    low, high = (against and against.gain_interval) or (None, None)
    return AccuracyResult(
        candidate=candidate,
        baseline=baseline,
        units=len(outcomes.cases),
        cases=cases,
        level=LEVEL,
        candidate_accuracy=by_name[candidate].accuracy if cases else None,
        baseline_accuracy=against.accuracy if against else None,
        gain=against.candidate_gain if against else None,
        gain_low=low,
        gain_high=high,
        methods=methods,
    )


def _method(method: str, right: Array, candidates: Array, cases: Array) -> MethodAccuracy:
    accuracy, interval = ratio_with_interval(right, cases)
    gain, gain_interval = ratio_with_interval(candidates - right, cases)
    return MethodAccuracy(
        method=method,
        right=int(right.sum()),
        accuracy=accuracy,
        interval=interval,
        candidate_gain=gain,
        gain_interval=gain_interval,
    )


def ratio_with_interval(sums: Array, cases: Array) -> tuple[float, tuple[float, float] | None]:
    """The ratio of two sums over units, and its interval; None with fewer than two units."""
    units, total = len(cases), float(cases.sum())
    ratio = float(sums.sum()) / total
    if units < 2:
        return ratio, None
    squares = _square_sum(sums - ratio * cases)
    half_width = float(stats.t.ppf((1 + LEVEL) / 2, units - 1)) * (units / (units - 1) * squares) ** 0.5 / total
    return ratio, (ratio - half_width, ratio + half_width)


def _square_sum(values: Sequence[float] | Array) -> float:
    return float(np.square(values).sum())
