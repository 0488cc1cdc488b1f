"""Rival explanations of a series of blocks, each with its fit and with the growth that it leaves unexplained.

All are least-squares fits of one linear part with a daily cycle in common; the place of a step and the time constant of
a saturation are found on a grid. They are compared by Schwarz's criterion with the number of blocks reduced to
n (1 - r) / (1 + r), r the lag-1 autocorrelation of the smallest residuals (Wilks, Statistical Methods in the
Atmospheric Sciences, section 5.2.3), so that correlated noise is not taken for evidence.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evidence.soak_result import Explanation
from loadtests.growth import steady

Array = NDArray[np.float64]

AS_WELL = 10.0
"""A difference of Schwarz's criterion up to which two fits are called equally good (Kass and Raftery 1995: "very
strong" evidence begins here)."""

_MOST_STEPS = 5
_WEEK_H = 168.0
_RESOLUTION = 1e-6
_DECIMALS = 12
"""Of a gain relative to all squares: its resolution, squared. What differs by less is equal, and the first is taken."""


@dataclass(frozen=True)
class _Fit:
    name: str
    design: Array
    extra: int
    """Parameters that were searched and not fitted."""
    at_hours: tuple[float, ...] = ()
    time_constant_hours: float | None = None
    bends: bool = False


def explain(at: Array, blocks: Array, *, daily: bool, slowest_h: float) -> list[Explanation]:
    """Fit the rivals to the blocks at ``at`` (hours); the best first.

    ``daily`` puts a daily cycle into every model; ``slowest_h`` is the longest time constant of a saturation. The
    growth that steps leave is the slope, a day, of a line fitted with them; the growth that a saturation or a weekly
    cycle leaves is that of its residuals, since both are nearly a line themselves. In the unit of the blocks.
    """
    base = _base(at, daily)
    fits = [_Fit("no growth", base, 0), _Fit("line", np.column_stack([base, at - at[0]]), 0)]
    fits += _stepped(at, blocks, base)
    fits += [fit for fit in (_saturating(at, blocks, base, slowest_h), _weekly(at, base)) if fit is not None]
    squares = {fit.name: _squares(fit.design, blocks) for fit in fits}
    least = min(fits, key=lambda fit: squares[fit.name])
    n = len(blocks)
    floor = n * (_RESOLUTION * float(np.abs(blocks).max())) ** 2
    seen = squares[least.name] > floor
    r = float(np.clip(_lag_1(_residuals(least.design, blocks)), 0.0, 0.9)) if seen else 0.0
    counted = n * (1 - r) / (1 + r)
    bic = {
        fit.name: counted * np.log(max(squares[fit.name], floor) / n) + (fit.design.shape[1] + fit.extra) * np.log(n)
        for fit in fits
    }
    best = min(bic.values())
    total = max(float(np.sum((blocks - blocks.mean()) ** 2)), floor)
    found = [
        Explanation(
            name=fit.name,
            r_squared=round(float(np.clip(1 - squares[fit.name] / total, 0, 1)), 4),
            bic_above_best=round(float(bic[fit.name] - best), 2),
            fits_as_well=bool(bic[fit.name] - best <= AS_WELL),
            growth_per_day_left=steady(_growth_left(fit, at, blocks)),
            at_hours=[round(hour, 2) for hour in fit.at_hours],
            time_constant_hours=fit.time_constant_hours,
        )
        for fit in fits
    ]
    return sorted(found, key=lambda explanation: explanation.bic_above_best)


def _base(at: Array, daily: bool) -> Array:
    columns = [np.ones_like(at)]
    if daily:
        for harmonic in (1, 2):
            angle = 2 * np.pi * harmonic * at / 24
            columns += [np.sin(angle), np.cos(angle)]
    return np.column_stack(columns)


def _residuals(design: Array, values: Array) -> Array:
    basis, _ = np.linalg.qr(design)
    left: Array = values - basis @ (basis.T @ values)
    return left


def _squares(design: Array, values: Array) -> float:
    left = _residuals(design, values)
    return float(left @ left)


def _best_column(design: Array, values: Array, columns: Array) -> int:
    """The column that, added to the design, leaves the least squares."""
    left, apart = _residuals(design, values), _residuals(design, columns)
    length = np.sum(apart * apart, axis=0)
    gain = np.where(length > 1e-9, (left @ apart) ** 2 / np.maximum(length, 1e-12), -1.0)
    gain = np.round(gain / max(float(values @ values), 1e-300), _DECIMALS)
    return int(np.argmax(gain))


def _stepped(at: Array, values: Array, base: Array) -> list[_Fit]:
    """One step, then more, each put where it helps most."""
    places = np.arange(1, len(at))
    columns = (at[:, None] >= at[places][None, :]).astype(float)
    fits, design, found = [], base, []
    for count in range(1, _MOST_STEPS + 1):
        best = _best_column(design, values, columns)
        found.append(float(at[places[best]] + at[places[best] - 1]) / 2)
        design = np.column_stack([design, columns[:, best]])
        fits.append(_Fit("step" if count == 1 else f"{count} steps", design, count, tuple(sorted(found))))
    return fits


def _saturating(at: Array, values: Array, base: Array, slowest_h: float) -> _Fit | None:
    span = float(at[-1] - at[0])
    constants = np.geomspace(span / 30, max(slowest_h, span / 10), 16)
    columns = 1 - np.exp(-(at - at[0])[:, None] / constants[None, :])
    best = _best_column(base, values, columns)
    design = np.column_stack([base, columns[:, best]])
    return _Fit("saturation", design, 1, time_constant_hours=round(float(constants[best]), 4), bends=True)


def _weekly(at: Array, base: Array) -> _Fit | None:
    if base.shape[1] == 1:
        return None
    angle = 2 * np.pi * at / _WEEK_H
    return _Fit("weekly cycle", np.column_stack([base, np.sin(angle), np.cos(angle)]), 0, bends=True)


def _growth_left(fit: _Fit, at: Array, values: Array) -> float:
    """The slope of a line beside the steps; what bends like a line is fitted first, and leaves what it can."""
    line = at - at[0]
    others = fit.design[:, :-1] if fit.name == "line" else fit.design
    if fit.bends:
        return float(line @ _residuals(others, values)) / float(line @ _residuals(others[:, :1], line)) * 24
    apart = _residuals(others, line)
    return float(_residuals(others, values) @ apart) / max(float(apart @ apart), 1e-12) * 24


def _lag_1(residuals: Array) -> float:
    total = float(residuals @ residuals)
    return float(residuals[1:] @ residuals[:-1]) / total if total > 0 else 0.0
