import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.charts import Bar, BarChart, Difference, DifferenceChart, LineChart, charts_of
from reports.plots import WIDTH, BarPlot, DifferencePlot, LinePlot, plot, ticks
from tests.unit.reports.results import results, soak

values = st.floats(-1e6, 1e6)


def line(points: list[tuple[float, float]], limit: float | None = None, slope: float | None = None) -> LinePlot:
    chart = LineChart(
        title="t", note="n", x_label="x", y_label="y", points=tuple(points), limit=limit, slope=slope
    )  # fmt: skip
    drawn = plot(chart)
    assert isinstance(drawn, LinePlot)
    return drawn


@given(st.lists(st.tuples(values, values), min_size=2, max_size=40), st.none() | values, st.none() | values)
def test_a_line_never_leaves_its_frame(
    points: list[tuple[float, float]], limit: float | None, slope: float | None
) -> None:
    drawn = line(sorted(points), limit, slope)
    coordinates = [tuple(map(float, pair.split(","))) for pair in drawn.path[1:].split("L")]
    assert len(coordinates) == len(points)
    for x, y in [*coordinates, *((t[0], t[1]) for t in [drawn.trend or (drawn.left, drawn.top)])]:
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
    assert "1 windows without a value" in latency.note


def test_a_stage_without_a_difference_is_left_out_of_its_chart() -> None:
    rollout = results()["rehearsal"]
    stages = [s.model_copy(update={"metrics": [m.model_copy(update={"difference": None}) for m in s.metrics]})
              for s in rollout.stages]  # type: ignore[attr-defined]  # fmt: skip
    charts = charts_of(rollout.model_copy(update={"stages": stages}), {})
    assert [chart.title for chart in charts] == ["P95, stable and canary"]
