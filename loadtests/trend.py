"""Whether a sampled series grows: stable, leaking, or not proven. Pure: values in, a verdict out.

The warm-up (first quarter) is left out. The rest is reduced to blocks, each by its 10th percentile, which is the lower
envelope of a garbage collector's saw-tooth. A straight line, and a line with one step, are fitted by least squares; the
step is kept when its Bayesian information criterion is better by more than 10 (Kass and Raftery 1995, section 3.2). The
interval of the slope is widened by sqrt((1 + r) / (1 - r)), r the lag-1 autocorrelation of the residuals (Wilks,
Statistical Methods in the Atmospheric Sciences, section 5.2.3). Leaking needs growth in the later half too, so that
growth towards a plateau is not called a leak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evidence.results import Trend

Array = NDArray[np.float64]

MINIMUM_HOURS = 1.0
"""Shorter series cannot tell a leak from warm-up: on healthy 10-minute series every classical test finds a leak."""

_WARM_UP = 0.25
_BLOCKS = 48
_POINTS_AT_LEAST = 24
_LONGEST_HOURS = 24.0 * 90


@dataclass(frozen=True)
class _Fit:
    slope: float
    half_width: float
    step_at_hours: float | None
    bic: float


def judge_trend(
    hours: Sequence[float],
    values: Sequence[float],
    *,
    limit_per_day: float,
    control: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Trend:
    """Judge the growth of ``values`` at ``hours`` (since the start) against a limit relative to their level.

    ``control`` is the series of an unchanged system under the same load; what both have in common is taken out. Values
    that are not finite, a short span or few points are never stable.
    """
    at, series = _finite(hours, values)
    if control is not None:
        series = _without_common(at, series, *_finite(*control))
    span = float(at[-1] - at[0]) if len(at) else 0.0
    if span < MINIMUM_HOURS or len(at) < _POINTS_AT_LEAST:
        needs = max(MINIMUM_HOURS - span, 0.0) or None
        return _not_proven(f"{span:.2f} h with {len(at)} samples cannot tell a leak from warm-up", needs)
    kept = at >= at[0] + _WARM_UP * span
    block_at, block = _blocks(at[kept], series[kept])
    level = float(np.median(block[: max(3, len(block) // 8)]))
    if level <= 0:
        return _not_proven("the level after warm-up is not positive", None)
    fit = _best_fit(block_at, block)
    limit = limit_per_day * level / 24
    low, high = fit.slope - fit.half_width, fit.slope + fit.half_width
    if low > limit and _later_half_grows(block_at, block):
        verdict, why, needs = "leaking", "growth above the limit is shown, in the later half too", None
    elif high < limit:
        verdict, why, needs = "stable", "growth is shown to be below the limit", None
    else:
        verdict, why = "not-proven", "the interval of the slope holds the limit"
        needs = _needs_hours(span, fit, limit)
    return Trend(
        verdict=verdict,
        slope_per_hour=fit.slope,
        interval_per_hour=(low, high),
        growth_per_day=fit.slope * 24 / level,
        growth_per_day_upper=high * 24 / level,
        change_points=[] if fit.step_at_hours is None else [round(fit.step_at_hours, 3)],
        needs_hours=needs,
        why=why,
    )


def _not_proven(why: str, needs_hours: float | None) -> Trend:
    return Trend(
        verdict="not-proven",
        slope_per_hour=None,
        interval_per_hour=None,
        growth_per_day=None,
        growth_per_day_upper=None,
        change_points=[],
        needs_hours=None if needs_hours is None else round(needs_hours, 2),
        why=why,
    )


def _finite(hours: Sequence[float], values: Sequence[float]) -> tuple[Array, Array]:
    at, series = np.asarray(hours, dtype=float), np.asarray(values, dtype=float)
    good = np.isfinite(at) & np.isfinite(series)
    order = np.argsort(at[good], kind="stable")
    return at[good][order], series[good][order]


def _without_common(at: Array, series: Array, control_at: Array, control: Array) -> Array:
    if len(control) < _POINTS_AT_LEAST:
        return series
    result: Array = series - (np.interp(at, control_at, control) - np.median(control))
    return result


def _blocks(at: Array, series: Array) -> tuple[Array, Array]:
    count = min(_BLOCKS, len(at) // 2)
    edges = np.linspace(at[0], at[-1], count + 1)
    index = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, count - 1)
    filled = np.unique(index)
    means = np.array([at[index == i].mean() for i in filled])
    lows = np.array([np.percentile(series[index == i], 10) for i in filled])
    return means, lows


def _best_fit(at: Array, values: Array) -> _Fit:
    line = _fit(at, values, None)
    inner = range(3, len(at) - 3)
    stepped = [_fit(at, values, float(at[i])) for i in inner]
    best = min(stepped, key=lambda fit: fit.bic, default=line)
    return best if best.bic < line.bic - 10 else line


def _fit(at: Array, values: Array, step_at: float | None) -> _Fit:
    columns = [np.ones_like(at), at] + ([] if step_at is None else [(at >= step_at).astype(float)])
    design = np.column_stack(columns)
    coefficients, *_ = np.linalg.lstsq(design, values, rcond=None)
    residuals = values - design @ coefficients
    n, k = design.shape
    squares = float(residuals @ residuals)
    # Rounding must not look like certainty: a resolution of one part in a million of the level is assumed.
    floor = n * (1e-6 * max(float(np.abs(values).max()), 1e-12)) ** 2
    squares = max(squares, floor)
    variance = squares / max(n - k, 1) * np.linalg.pinv(design.T @ design)[1, 1]
    r = float(np.clip(_lag_1(residuals), 0.0, 0.95))
    half_width = float(stats.t.ppf(0.975, max(n - k, 1)) * np.sqrt(variance * (1 + r) / (1 - r)))
    parameters = k + (0 if step_at is None else 1)
    bic = n * float(np.log(squares / n)) + parameters * float(np.log(n))
    return _Fit(float(coefficients[1]), half_width, step_at, bic)


def _lag_1(residuals: Array) -> float:
    centred: Any = residuals - residuals.mean()
    total = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / total if total > 0 else 0.0


def _later_half_grows(at: Array, values: Array) -> bool:
    later = _best_fit(at[len(at) // 2 :], values[len(at) // 2 :])
    return later.slope - later.half_width > 0


def _needs_hours(span: float, fit: _Fit, limit: float) -> float | None:
    """More hours until the interval no longer holds the limit: its width shrinks with the 1.5th power of the span."""
    distance = abs(limit - fit.slope)
    if distance <= 0:
        return None
    total = span * (fit.half_width / distance) ** (2 / 3)
    return round(total - span, 2) if span < total <= _LONGEST_HOURS else None
