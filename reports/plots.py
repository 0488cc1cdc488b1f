"""From the data of a chart to coordinates of a drawing: axes, ticks, lines and bars. Pure; the templates draw."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from reports.charts import BarChart, DifferenceChart, LineChart
from reports.formats import number

WIDTH = 460.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 10.0, 42.0
_LINE_HEIGHT = 210.0
_LABEL = 34
_SEEN_FROM = 0.5
"""Shaded parts that are narrower cannot be seen."""

_HOLE_FROM = 3.0
"""Points that are so many usual distances apart are not joined."""

_BAND_STEPS = 40


@dataclass(frozen=True)
class Tick:
    """A place on an axis with its label."""

    at: float
    label: str


@dataclass(frozen=True)
class LinePlot:
    """Lines in a frame. ``trend`` is (x1, y1, x2, y2) and ``band`` the interval of its slope, both cut at the frame.

    ``limit`` is the height of the limit, None when out of sight; ``shaded`` holds (x, width).
    """

    height: float
    left: float
    right: float
    top: float
    bottom: float
    path: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    limit: float | None
    besides: tuple[str, ...]
    trend: tuple[float, float, float, float] | None
    band: str | None
    shaded: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Whisker:
    """A difference with its interval; an end that is not bounded reaches the frame's edge."""

    y: float
    label: str
    dot: float
    low: float
    high: float
    margin: float | None
    text: str


@dataclass(frozen=True)
class DifferencePlot:
    """Whiskers on a common axis."""

    height: float
    left: float
    right: float
    bottom: float
    zero: float
    x_ticks: tuple[Tick, ...]
    rows: tuple[Whisker, ...]


@dataclass(frozen=True)
class Block:
    """A piece of a bar."""

    name: str
    x: float
    y: float
    width: float
    text: str


@dataclass(frozen=True)
class BarRow:
    """A labelled bar."""

    label: str
    y: float
    text: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class BarPlot:
    """Rows of bars."""

    height: float
    rows: tuple[BarRow, ...]


def plot(chart: LineChart | DifferenceChart | BarChart) -> LinePlot | DifferencePlot | BarPlot:
    """The drawing of a chart, ``WIDTH`` wide."""
    if isinstance(chart, LineChart):
        return _line(chart)
    return _difference(chart) if isinstance(chart, DifferenceChart) else _bars(chart)


def ticks(low: float, high: float, at_most: int = 6) -> tuple[float, ...]:
    """Round values (steps of 1, 2 or 5 times a power of ten) inside an interval."""
    if not high - low > 1e-300:  # nothing to divide: below it, steps are no longer numbers
        return (low,)
    raw = (high - low) / at_most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return tuple(i * step for i in range(first, math.floor(high / step + 1e-9) + 1))


def _line(chart: LineChart) -> LinePlot:
    points = [*chart.points, *(point for series in chart.besides for point in series.points)]
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_low, y_high = _y_range([y for _, y in points], chart.limit)
    right, bottom = WIDTH - _RIGHT, _LINE_HEIGHT - _BOTTOM

    def px(x: float) -> float:
        share = (min(max(x, x_low), x_high) - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return round(_LEFT + (right - _LEFT) * share, 1)

    def py(y: float) -> float:
        return round(bottom - (bottom - _TOP) * (min(max(y, y_low), y_high) - y_low) / (y_high - y_low), 1)

    def path(points: Sequence[tuple[float, float]]) -> str:
        runs = _unbroken(points)
        return "".join("M" + "L".join(f"{px(x)},{py(y)}" for x, y in run) for run in runs)

    trend, band = _trend(chart, y_low, y_high)
    visible = [(px(low), px(high)) for low, high in chart.shaded]
    return LinePlot(
        height=_LINE_HEIGHT,
        left=_LEFT,
        right=right,
        top=_TOP,
        bottom=bottom,
        path=path(chart.points),
        x_ticks=tuple(Tick(px(x), number(x)) for x in ticks(x_low, x_high)),
        y_ticks=tuple(Tick(py(y), number(y)) for y in ticks(y_low, y_high, 4)),
        limit=py(chart.limit) if chart.limit is not None and y_low <= chart.limit <= y_high else None,
        besides=tuple(path(series.points) for series in chart.besides),
        trend=(px(trend[0][0]), py(trend[0][1]), px(trend[1][0]), py(trend[1][1])) if trend else None,
        band="M" + "L".join(f"{px(x)},{py(y)}" for x, y in band) + "Z" if band else None,
        shaded=tuple((low, round(high - low, 1)) for low, high in visible if high - low >= _SEEN_FROM),
    )


def _unbroken(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The points in runs without a hole: where several are missing, nothing is known in between."""
    usual = median(b[0] - a[0] for a, b in pairwise(points)) if len(points) > 1 else 0.0
    runs: list[list[tuple[float, float]]] = []
    for point in points:
        if runs and point[0] - runs[-1][-1][0] <= usual * _HOLE_FROM:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _trend(
    chart: LineChart, y_low: float, y_high: float
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]] | tuple[None, None]:
    """The ends of the trend inside the frame, and the outline of the interval around the middle of its points."""
    line = chart.trend
    inside = [(x, y) for x, y in chart.points if line and line.x_low <= x <= line.x_high]
    if line is None or len(inside) < 2:
        return None, None
    middle = (inside[0][0] + inside[-1][0]) / 2
    height = min(max(median(y - line.slope * (x - middle) for x, y in inside), y_low), y_high)

    def at(slope: float, x: float) -> float:
        return height + slope * (x - middle)

    ends = []
    for x in (inside[0][0], inside[-1][0]):
        y = min(max(at(line.slope, x), y_low), y_high)
        ends.append((x if y == at(line.slope, x) else middle + (y - height) / line.slope, y))
    places = [inside[0][0] + (inside[-1][0] - inside[0][0]) * n / _BAND_STEPS for n in range(_BAND_STEPS + 1)]
    upper = [(x, max(at(line.lowest, x), at(line.highest, x))) for x in places]
    lower = [(x, min(at(line.lowest, x), at(line.highest, x))) for x in places]
    return ends, [*upper, *reversed(lower)]


def _y_range(ys: Sequence[float], limit: float | None) -> tuple[float, float]:
    """From zero, unless all values lie close together; then wide enough that noise does not look like a trend."""
    low, high = min(ys), max(ys)
    if limit is not None and limit <= high * 2:
        high = max(high, limit)
    if low > high * 0.5 > 0:
        middle, half = (low + high) / 2, max((high - low) * 0.6, high * 0.1)
        return middle - half, middle + half
    return min(0.0, low), high * 1.08 if high > 0 else 1.0


def _difference(chart: DifferenceChart) -> DifferencePlot:
    scale = chart.scale
    known = [
        value * scale for row in chart.rows for value in (row.value, row.low, row.high, row.margin) if value is not None
    ]
    low, high = min(0.0, *known), max(0.0, *known)
    room = (high - low) * 0.08 or 1.0
    low, high = low - room, high + room
    left, right = 14.0, WIDTH - _RIGHT

    def px(x: float) -> float:
        return round(left + (right - left) * (x - low) / (high - low), 1)

    rows = tuple(
        Whisker(
            y=34.0 + 44.0 * i,
            label=_short(row.label),
            dot=px(row.value * scale),
            low=left if row.low is None else px(row.low * scale),
            high=right if row.high is None else px(row.high * scale),
            margin=None if row.margin is None else px(row.margin * scale),
            text=f"{number(row.value * scale)}, {row.verdict}",
        )
        for i, row in enumerate(chart.rows)
    )
    bottom = 34.0 + 44.0 * len(rows) - 24.0
    return DifferencePlot(
        height=bottom + _BOTTOM,
        left=left,
        right=right,
        bottom=bottom,
        zero=px(0.0),
        x_ticks=tuple(Tick(px(x), number(x)) for x in ticks(low, high)),
        rows=rows,
    )


def _bars(chart: BarChart) -> BarPlot:
    rows, y = [], 0.0
    widest = max((length for row in chart.rows for _, length in row.parts), default=0.0) or 1.0
    for row in chart.rows:
        if chart.stacked:
            blocks, below = _stack(row.parts, y + 22), y + 46
        else:
            blocks, below = _pair(row.parts, y + 22, widest), y + 22 + 22.0 * len(row.parts)
        rows.append(BarRow(label=_short(row.label), y=y + 15, text=row.text, blocks=blocks))
        y = below + 12
    return BarPlot(height=y, rows=tuple(rows))


def _stack(parts: Sequence[tuple[str, float]], y: float) -> tuple[Block, ...]:
    total = sum(length for _, length in parts) or 1.0
    blocks, x = [], 0.0
    for name, length in parts:
        width = WIDTH * length / total
        blocks.append(Block(name, round(x, 1), y, round(max(width, 2.0), 1), f"{number(length)} {name}"))
        x += width
    return tuple(blocks)


def _pair(parts: Sequence[tuple[str, float]], y: float, widest: float) -> tuple[Block, ...]:
    return tuple(
        Block(name, 0.0, y + 22.0 * i, round(max(300.0 * length / widest, 1.0), 1), f"{name} {number(length)} ms")
        for i, (name, length) in enumerate(parts)
    )


def _short(label: str) -> str:
    return label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}…"
