import math
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.soak_result import Gap
from reports.charts import Bar, BarChart, Difference, DifferenceChart, LineChart, Series, TrendLine, charts_of
from reports.plots import WIDTH, BarPlot, DifferencePlot, LinePlot, plot, ticks
from tests.unit.reports.results import control, results, soak

values = st.floats(-1e6, 1e6)


def line(points: list[tuple[float, float]], limit: float | None = None, **more: Any) -> LinePlot:
    chart = LineChart(title="t", note="n", x_label="x", y_label="y", points=tuple(points), limit=limit, **more)
    drawn = plot(chart)
    assert isinstance(drawn, LinePlot)
    return drawn


def coordinates(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([-\d.e]+),([-\d.e]+)", path)]


some_points = st.lists(st.tuples(values, values), min_size=2, max_size=40).map(sorted)
trends = st.builds(TrendLine, x_low=values, x_high=values, slope=values, lowest=values, highest=values)


@given(some_points, some_points, st.none() | values, st.none() | trends, st.lists(st.tuples(values, values)))
def test_nothing_that_is_drawn_leaves_the_frame(
    points: list[tuple[float, float]],
    others: list[tuple[float, float]],
    limit: float | None,
    trend: TrendLine | None,
    shaded: list[tuple[float, float]],
) -> None:
    besides = (Series(name="o", points=tuple(others)),)
    drawn = line(points, limit, besides=besides, trend=trend, shaded=tuple(shaded))
    assert len(coordinates(drawn.path)) == len(points)
    assert len(coordinates(drawn.besides[0])) == len(others)
    ends = [drawn.trend[:2], drawn.trend[2:]] if drawn.trend else []
    edges = [(edge, drawn.top) for x, width in drawn.shaded for edge in (x, x + width)]
    lines = [xy for path in (drawn.path, *drawn.besides, drawn.band or "") for xy in coordinates(path)]
    for x, y in [*lines, *ends, *edges]:
        assert drawn.left - 0.1 <= x <= drawn.right + 0.1
        assert drawn.top - 0.1 <= y <= drawn.bottom + 0.1


def test_higher_values_are_drawn_higher_and_the_limit_where_it_lies() -> None:
    drawn = line([(0, 10), (1, 50), (2, 90)], limit=100)
    ys = [float(pair.split(",")[1]) for pair in drawn.path[1:].split("L")]
    assert ys[0] > ys[1] > ys[2]
    assert drawn.limit is not None
    assert drawn.limit < ys[2]


def test_a_limit_far_above_the_values_is_not_drawn() -> None:
    assert line([(0, 10), (1, 12)], limit=1000).limit is None


def test_noise_around_a_level_is_not_blown_up_to_look_like_a_trend() -> None:
    drawn = line([(0, 100.0), (1, 100.5), (2, 100.0)])
    ys = [float(pair.split(",")[1]) for pair in drawn.path[1:].split("L")]
    assert max(ys) - min(ys) < (drawn.bottom - drawn.top) * 0.05


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_ordered_and_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 7
    assert list(found) == sorted(found)
    assert all(low - span * 1e-3 <= tick <= low + span * 1.001 for tick in found)


def test_an_unbounded_interval_reaches_the_edge() -> None:
    row = Difference(label="canary", value=0.01, low=None, high=None, margin=0.005, verdict="not-proven")
    drawn = plot(DifferenceChart(title="t", note="n", x_label="x", scale=100, rows=(row,)))
    assert isinstance(drawn, DifferencePlot)
    assert (drawn.rows[0].low, drawn.rows[0].high) == (drawn.left, drawn.right)
    assert drawn.zero < drawn.rows[0].margin < drawn.rows[0].dot  # type: ignore[operator]


def test_the_pieces_of_a_stacked_bar_fill_it_and_small_ones_stay_visible() -> None:
    parts = (("passed", 99_999.0), ("failed", 1.0))
    drawn = plot(BarChart(title="t", note="n", stacked=True, rows=(Bar(label="s", parts=parts, text=""),)))
    assert isinstance(drawn, BarPlot)
    passed, failed = drawn.rows[0].blocks
    assert failed.width >= 2
    assert math.isclose(passed.width, WIDTH, abs_tol=0.2)


@pytest.mark.parametrize(("span_s", "unit"), [(40, "seconds"), (600, "minutes"), (259_200, "hours")])
def test_the_time_axis_fits_the_length_of_the_soak(span_s: float, unit: str) -> None:
    series = [(span_s * i / 10, 180.0, 20.0) for i in range(11)]
    chart = charts_of(soak().model_copy(update={"series": series}), {})[0]
    assert isinstance(chart, LineChart)
    assert chart.x_label == f"{unit} since the start"


def test_windows_without_a_latency_are_counted_not_drawn() -> None:
    series = [(0.0, 180.0, 20.0), (1.0, 180.0, None), (2.0, 180.0, 21.0)]
    latency = charts_of(soak().model_copy(update={"series": series}), {})[1]
    assert isinstance(latency, LineChart)
    assert len(latency.points) == 2
    assert "1 sample outside a window" in latency.note


def test_a_stage_without_a_difference_is_left_out_of_its_chart() -> None:
    rollout = results()["rehearsal"]
    stages = [s.model_copy(update={"metrics": [m.model_copy(update={"difference": None}) for m in s.metrics]})
              for s in rollout.stages]  # type: ignore[attr-defined]  # fmt: skip
    charts = charts_of(rollout.model_copy(update={"stages": stages}), {})
    assert [chart.title for chart in charts] == ["P95, stable and canary"]


def test_a_trend_has_its_slope_and_its_interval_is_narrow_in_the_middle() -> None:
    trend = TrendLine(x_low=0, x_high=10, slope=2, lowest=1, highest=3)
    drawn = line([(n, 100.0 + 2 * n) for n in range(11)], trend=trend)
    assert drawn.trend is not None
    assert drawn.band is not None
    points = [(float(x), float(y)) for x, y in coordinates(drawn.path)]
    assert drawn.trend[:2] == points[0]
    assert drawn.trend[2:] == points[-1]
    outline = coordinates(drawn.band)
    upper, lower = outline[: len(outline) // 2], outline[len(outline) // 2 :][::-1]
    widths = [low[1] - high[1] for high, low in zip(upper, lower, strict=True)]
    assert min(widths) == widths[len(widths) // 2] == 0
    assert widths[0] == pytest.approx(widths[-1], abs=0.3)
    assert widths[0] > 5


def test_a_trend_is_drawn_over_the_life_that_it_is_of() -> None:
    points = [(float(n), 100.0) for n in range(11)]
    drawn = line(points, trend=TrendLine(x_low=5, x_high=10, slope=0, lowest=-1, highest=1))
    assert drawn.trend is not None
    assert drawn.trend[0] == coordinates(drawn.path)[5][0]


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    points = [(float(n), 1.0) for n in (*range(10), *range(20, 30))]
    assert line(points).path.count("M") == 2
    assert line(points[:10]).path.count("M") == 1


def test_gaps_and_the_time_between_nights_are_shaded_and_the_control_is_beside() -> None:
    first = soak().nights[0]
    second = first.model_copy(update={
        "started_at": first.started_at + timedelta(seconds=60), "finished_at": first.started_at + timedelta(seconds=90),
    })  # fmt: skip
    gap = Gap(started_at=first.started_at, finished_at=first.started_at + timedelta(seconds=6), cause="so")
    beside = control(series=[(0.0, 150.0), (90.0, 151.0)])
    result = soak().model_copy(update={"nights": [first, second], "gaps": [gap], "control": beside})
    memory, latency = charts_of(result, {})
    assert isinstance(memory, LineChart)
    assert isinstance(latency, LineChart)
    # The day between the nights is 2 % of the 70 s that both took.
    assert memory.shaded == latency.shaded == ((0.0, 6.0), (40.0, pytest.approx(41.4)))
    assert memory.besides[0].points[-1][0] == pytest.approx(71.4)
    assert memory.x_label == "seconds since the start, days left out"
    assert [series.name for series in memory.besides] == ["stable"]
    assert memory.trend is not None
    assert "in 2 nights" in memory.note
