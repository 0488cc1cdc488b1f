import numpy as np
import pytest

from decision.ab_metrics import AbMetric
from processes.errors import InputError
from rollouts.ab_rows import Rows, columns_of, group

MEAN = {"x": AbMetric(type="mean")}


def rows(units, arms, x, **more):
    columns = {"x": np.array(x, dtype=float)} | {name: np.array(v, dtype=float) for name, v in more.items()}
    return Rows(np.array(list(units), dtype=object), np.array(arms, dtype=object), columns)


def test_several_rows_of_a_unit_count_once():
    recorded = rows("aab", ["control", "control", "new"], [1, 3, 5], views=[1, 3, 2])
    metrics = {"x": AbMetric(type="mean"), "per-row": AbMetric(type="ratio", column="x")}
    metrics["per-view"] = AbMetric(type="ratio", column="x", denominator="views")
    assert columns_of(metrics) == ["x", "views"]
    grouped = group(recorded, metrics)
    assert grouped.arms == ("control", "new")
    assert grouped.units.is_treatment.tolist() == [False, True]
    assert grouped.units.metrics["x"].values.tolist() == [2, 5]
    assert grouped.units.metrics["per-row"].values.tolist() == [4, 5]
    assert grouped.units.metrics["per-row"].denominator.tolist() == [2, 1]
    assert grouped.units.metrics["per-view"].denominator.tolist() == [4, 2]


def test_what_is_missing_is_counted():
    recorded = rows(["a", "b", "", "c"], ["control", "new", "new", ""], [np.nan, 1, 1, 1])
    grouped = group(recorded, MEAN)
    assert (grouped.rows, grouped.rows_left_out, grouped.missing_rows) == (4, 2, {"x": 1})
    assert np.isnan(grouped.units.metrics["x"].values[0])


def test_a_covariate_is_the_mean_of_a_units_rows():
    metrics = {"x": AbMetric(type="mean", covariate="before")}
    grouped = group(rows("aab", ["control", "control", "new"], [1, 3, 5], before=[1, np.nan, np.nan]), metrics)
    assert np.array_equal(grouped.units.metrics["x"].covariate, [1, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        (rows("ab", ["control", "control"], [1, 2]), "one arm"),
        (rows("abc", ["control", "new", "newer"], [1, 2, 3]), "expected two arms, found 3"),
        (rows("aab", ["control", "new", "new"], [1, 2, 3]), "'a' is in both arms"),
        (rows("ab", ["left", "right"], [1, 2]), "say --control"),
        (rows("", [], []), "no rows"),
        (rows(["", ""], ["control", "new"], [1, 2]), "no row names both"),
    ],
)
def test_what_is_no_test_of_two_arms_is_said_in_a_line(recorded, said):
    with pytest.raises(InputError, match=said):
        group(recorded, MEAN)


def test_a_proportion_is_made_of_units_that_did_or_did_not():
    proportion = {"x": AbMetric(type="proportion")}
    with pytest.raises(InputError, match=r"0 and 1, found 0.5"):
        group(rows("ab", ["control", "new"], [0.5, 1]), proportion)
    with pytest.raises(InputError, match="use x:ratio"):
        group(rows("aab", ["control", "control", "new"], [0, 1, 1]), proportion)


def test_a_unit_is_in_one_segment():
    def split(*segments):
        recorded = rows("aab", ["control", "control", "new"], [1, 2, 3])
        return Rows(recorded.units, recorded.arms, recorded.numbers, {"country": np.array(segments, dtype=object)})

    assert group(split("NO", "NO", ""), MEAN).units.segments["country"].tolist() == ["NO", "(none)"]
    with pytest.raises(InputError, match="not the same in all its rows"):
        group(split("NO", "SE", "SE"), MEAN)
