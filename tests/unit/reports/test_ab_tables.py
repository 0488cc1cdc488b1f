import numpy as np

from decision.ab_metrics import AbAnalysis, AbMetric
from reports.numbers import _numbers
from reports.tables import tables_of
from rollouts.ab_analysis import analyse
from rollouts.ab_units import MetricValues, Units
from tests.unit.flows.test_replay import a_stage, an_ab_test


def test_an_ab_test_is_shown_with_its_verdict_its_metrics_and_its_segments():
    treated = np.arange(400) % 2 == 1
    units = Units(treated, {"x": MetricValues(treated * 1.0)}, {"users": np.full(400, "new")})
    metrics = {"x": AbMetric(type="proportion")}
    result = analyse(units, metrics, AbAnalysis(segments=("users",)), arms=("phase3", "phase4"))
    arms, test, segments = tables_of(result)
    assert arms.caption == "Arms of the A/B test: 400 users; p of the split = 1"
    assert arms.rows == (("phase3", "200", "50 %", "50 %"), ("phase4", "200", "50 %", "50 %"))
    assert test.caption == "A/B test: better, shown to be better: x"
    assert test.columns[1:3] == ("phase3", "phase4")
    assert test.rows[0][0] == "x (primary)"
    assert segments.rows[0][0] == "users=new: x"


def test_one_line_says_what_a_stage_and_an_ab_test_in_production_have_shown(tmp_path):
    stage, test = a_stage(tmp_path).result, an_ab_test(tmp_path).result
    assert _numbers(stage) == (
        "production, stage canary at 50 % of users for 8d 2h: promoted, non-inferior, 0 errors in 4,032 canary requests"
    )
    assert _numbers(test).startswith(
        "better after 14d 1h: shown to be better: won; non-inferior: minutes; 3,000 users ("
    )
    assert "1,500 stable, 1,500 canary, 2,000 planned" in _numbers(test)
