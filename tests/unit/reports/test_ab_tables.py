import numpy as np

from decision.ab_metrics import AbAnalysis, AbMetric
from reports.tables import tables_of
from rollouts.ab_analysis import analyse
from rollouts.ab_units import MetricValues, Units


def test_an_ab_test_is_shown_with_its_verdict_its_metrics_and_its_segments():
    treated = np.arange(400) % 2 == 1
    units = Units(treated, {"x": MetricValues(treated * 1.0)}, {"users": np.full(400, "new")})
    metrics = {"x": AbMetric(type="proportion")}
    result = analyse(units, metrics, AbAnalysis(segments=("users",)), arms=("phase3", "phase4"))
    test, segments = tables_of(result)
    assert test.caption == "A/B test: better, shown to be better: x"
    assert test.columns[1:3] == ("phase3", "phase4")
    assert test.rows[0][0] == "x (primary)"
    assert segments.rows[0][0] == "users=new: x"
