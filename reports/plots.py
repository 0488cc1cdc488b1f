"""From the data of a chart to coordinates of a drawing: axes, ticks, lines and bars. Pure; the templates draw."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from reports.charts import BarChart, DifferenceChart, LineChart
from reports.formats import number

WIDTH = 460.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 10.0, 42.0
_LINE_HEIGHT = 210.0
_LABEL = 34


@dataclass(frozen=True)
class Tick:
    """A place on an axis with its label."""

    at: float
    label: str


@dataclass(frozen=True)
class LinePlot:
    """A line in a frame. ``trend`` is (x1, y1, x2, y2); ``limit`` the height of the limit, None when out of sight."""

    height: float
    left: float
    right: float
    top: float
    bottom: float
    path: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    limit: float | None
    trend: tuple[float, float, float, float] | None


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
    xs, ys = [x for x, _ in chart.points], [y for _, y in chart.points]
    x_low, x_high = min(xs), max(xs)
    y_low, y_high = _y_range(ys, chart.limit)
    right, bottom = WIDTH - _RIGHT, _LINE_HEIGHT - _BOTTOM

    def px(x: float) -> float:
        return round(_LEFT + (right - _LEFT) * ((x - x_low) / (x_high - x_low) if x_high > x_low else 0.5), 1)

    def py(y: float) -> float:
        return round(bottom - (bottom - _TOP) * (min(max(y, y_low), y_high) - y_low) / (y_high - y_low), 1)

    trend = None
    if chart.slope is not None:
        start = median(y - chart.slope * x for x, y in chart.points)
        trend = (px(x_low), py(start + chart.slope * x_low), px(x_high), py(start + chart.slope * x_high))
    return LinePlot(
        height=_LINE_HEIGHT,
        left=_LEFT,
        right=right,
        top=_TOP,
        bottom=bottom,
        path="M" + "L".join(f"{px(x)},{py(y)}" for x, y in chart.points),
        x_ticks=tuple(Tick(px(x), number(x)) for x in ticks(x_low, x_high)),
        y_ticks=tuple(Tick(py(y), number(y)) for y in ticks(y_low, y_high, 4)),
        limit=py(chart.limit) if chart.limit is not None and y_low <= chart.limit <= y_high else None,
        trend=trend,
    )


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
