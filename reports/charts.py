"""The data of the charts: what is plotted, in which units, beside which limit. How it is drawn is in ``plots``."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from decision.quantities import duration_text
from evidence.record import Record
from evidence.results import Result, RolloutResult, TestSuiteResult
from evidence.soak_result import SoakResult
from reports.formats import count, number, optional_percent, percent, plural
from reports.part import Part

_PAUSE = 0.02
"""How wide the day between two nights is shown, as a share of all nights."""


class Series(Part):
    """Another series beside that of the chart; ``name`` stands in the legend."""

    name: str
    points: tuple[tuple[float, float], ...]


class TrendLine(Part):
    """A straight line through the middle of the points between two places, and the interval of its slope.

    Slopes are in the units of the axes.
    """

    x_low: float
    x_high: float
    slope: float
    lowest: float
    highest: float


class LineChart(Part):
    """One series over time, with others beside it. ``shaded``: from where to where there is nothing to be seen."""

    kind: Literal["line"] = "line"
    title: str
    note: str
    x_label: str
    y_label: str
    points: tuple[tuple[float, float], ...]
    limit: float | None = None
    name: str = ""
    besides: tuple[Series, ...] = ()
    trend: TrendLine | None = None
    shaded: tuple[tuple[float, float], ...] = ()


class Difference(Part):
    """Canary minus stable with its interval (None: unbounded); harm is a difference above ``margin``."""

    label: str
    value: float
    low: float | None
    high: float | None
    margin: float | None
    verdict: str


class DifferenceChart(Part):
    """Differences of one metric, stage by stage."""

    kind: Literal["difference"] = "difference"
    title: str
    note: str
    x_label: str
    scale: float
    rows: tuple[Difference, ...]


class Bar(Part):
    """A labelled bar made of named lengths."""

    label: str
    parts: tuple[tuple[str, float], ...]
    text: str


class BarChart(Part):
    """Bars: stacked (parts of a whole) or paired (one beside the other)."""

    kind: Literal["bars"] = "bars"
    title: str
    note: str
    stacked: bool
    rows: tuple[Bar, ...]


Chart = LineChart | DifferenceChart | BarChart


def charts_of(result: Result, limits: Mapping[str, float]) -> tuple[Chart, ...]:
    """The charts of one result; ``limits`` are the upper limits of claims by field."""
    if isinstance(result, SoakResult):
        return tuple(_soak(result, limits))
    if isinstance(result, RolloutResult):
        return tuple(_rollout(result))
    return ()


def test_totals(records: Sequence[Record]) -> tuple[Chart, ...]:
    """One stacked bar for each test suite; nothing when there is none."""
    rows = []
    for record in records:
        r = record.result
        if isinstance(r, TestSuiteResult) and r.tests:
            parts = (("passed", r.passed), ("failed", r.failed), ("errored", r.errors), ("skipped", r.skipped))
            known = tuple((name, float(value)) for name, value in (*parts, ("flaky", r.flaky)) if value)
            rows.append(Bar(label=record.collector, parts=known, text=f"{count(r.passed)}/{count(r.tests)} passed"))
    note = "Every logical test counts once; skipped, errored and flaky tests stay in the total."
    return (BarChart(title="Tests by suite", note=note, stacked=True, rows=tuple(rows)),) if rows else ()


test_totals.__test__ = False  # type: ignore[attr-defined]


def _soak(result: SoakResult, limits: Mapping[str, float]) -> list[Chart]:
    shown_s = _without_days(result)
    unit, unit_s = _time_unit(max((shown_s(s) for s, _, _ in result.series), default=0.0))
    memory = tuple((shown_s(s) / unit_s, rss) for s, rss, _ in result.series)
    latency = tuple((shown_s(s) / unit_s, p95) for s, _, p95 in result.series if p95 is not None)
    beside = result.control if result.control and len(result.control.series) > 1 else None
    shaded = tuple((shown_s(begin_s) / unit_s, shown_s(end_s) / unit_s) for begin_s, end_s in _without_load(result))
    x_label = f"{unit} since the start" + (", days left out" if len(result.nights) > 1 else "")
    charts: list[Chart] = []
    if len(memory) > 1:
        control = (
            Series(name=beside.target, points=tuple((shown_s(s) / unit_s, y) for s, y in beside.series))
            if beside
            else None
        )
        charts.append(
            LineChart(
                title="Memory over the soak",
                note=_memory_note(result, limits),
                x_label=x_label,
                y_label="RSS in MB",
                points=memory,
                name=result.target,
                besides=(control,) if control else (),
                trend=_trend(result, shown_s, unit_s),
                shaded=shaded,
            )
        )
    if len(latency) > 1:
        without = len(result.series) - len(latency)
        missing = f"; {plural(without, 'sample')} outside a window" if without else ""
        limit = limits.get("p95_ms")
        charts.append(
            LineChart(
                title="Latency over the soak",
                note=f"P95 of each window{missing}" + (f"; limit {number(limit)} ms." if limit else "."),
                x_label=x_label,
                y_label="P95 in ms",
                points=latency,
                limit=limit,
                name=result.target,
                shaded=shaded,
            )
        )
    return charts


def _memory_note(result: SoakResult, limits: Mapping[str, float]) -> str:
    upper = optional_percent(result.trend.growth_per_day_upper)
    limit = f" (limit {percent(limits['growth_per_day'])})" if "growth_per_day" in limits else ""
    growth = f"Growth {optional_percent(result.growth_per_day)} a day, upper end of the 95 % interval {upper}{limit}"
    why = f" {result.trend.why}." if result.trend.why else ""
    nights = f" in {len(result.nights)} nights" if len(result.nights) > 1 else ""
    under_load = duration_text(result.hours_under_load * 3600)
    return f"{growth}: {result.trend.verdict}.{why} {under_load} under load{nights}."


def _trend(result: SoakResult, shown_s: Callable[[float], float], unit_s: float) -> TrendLine | None:
    """The line over the longest life: it was judged on no other."""
    slope, interval, begins_s = (
        result.trend.slope_per_hour,
        result.trend.interval_per_hour,
        result.longest_life_begins_s,
    )
    if slope is None or interval is None or begins_s is None:
        return None
    hours = unit_s / 3600
    return TrendLine(
        x_low=shown_s(begins_s) / unit_s,
        x_high=shown_s(begins_s + result.longest_life_hours * 3600) / unit_s,
        slope=slope * hours,
        lowest=interval[0] * hours,
        highest=interval[1] * hours,
    )


def _without_days(result: SoakResult) -> Callable[[float], float]:
    """Where on the axis a time (seconds since the start) is shown: nights one after the other, with a small pause."""
    if len(result.nights) < 2:
        return lambda at_s: at_s
    began = result.nights[0].started_at
    times = [[(at - began).total_seconds() for at in (night.started_at, night.finished_at)] for night in result.nights]
    pause_s = _PAUSE * sum(end_s - begin_s for begin_s, end_s in times)
    days = [(before[1], max(0.0, after[0] - before[1])) for before, after in pairwise(times)]

    def shown_s(at_s: float) -> float:
        return at_s - sum(
            min(max(at_s - from_s, 0.0), day_s) * (1 - pause_s / day_s) for from_s, day_s in days if day_s
        )

    return shown_s


def _without_load(result: SoakResult) -> list[tuple[float, float]]:
    """Seconds since the start between which there was no load: gaps, and the days between nights."""
    if not result.nights:
        return []
    began = result.nights[0].started_at
    nights = [(a.finished_at, b.started_at) for a, b in pairwise(result.nights)]
    times = [*((gap.started_at, gap.finished_at) for gap in result.gaps), *nights]
    return sorted(((a - began).total_seconds(), (b - began).total_seconds()) for a, b in times if a < b)


def _time_unit(span_s: float) -> tuple[str, float]:
    for unit, unit_s in (("seconds", 1.0), ("minutes", 60.0)):
        if span_s <= 180 * unit_s:
            return unit, unit_s
    return "hours", 3600.0


def _rollout(result: RolloutResult) -> list[Chart]:
    charts: list[Chart] = []
    names = dict.fromkeys(metric.name for stage in result.stages for metric in stage.metrics)
    for name in names:
        rows = tuple(
            Difference(
                label=f"{stage.stage} {percent(stage.share)}",
                value=metric.difference,
                low=metric.interval.low if metric.interval else metric.difference,
                high=metric.interval.high if metric.interval else metric.difference,
                margin=metric.margin,
                verdict=metric.verdict,
            )
            for stage in result.stages
            for metric in stage.metrics
            if metric.name == name and metric.difference is not None
        )
        if rows:
            rate = name == "error-rate"
            charts.append(
                DifferenceChart(
                    title=f"Canary minus stable: {name}",
                    note="Dot: difference; line: its interval; dashed: the largest difference that counts as no worse.",
                    x_label="percentage points" if rate else "difference in the unit of the metric",
                    scale=100 if rate else 1,
                    rows=rows,
                )
            )
    bars = tuple(
        Bar(label=f"{stage.stage} {percent(stage.share)}", parts=known, text="")
        for stage in result.stages
        if (
            known := tuple(
                (arm, value)
                for arm, value in (("stable", stage.stable.p95_ms), ("canary", stage.canary.p95_ms))
                if value is not None
            )
        )
    )
    if bars:
        note = "P95 in milliseconds of all requests of each stage."
        charts.append(BarChart(title="P95, stable and canary", note=note, stacked=False, rows=bars))
    return charts
