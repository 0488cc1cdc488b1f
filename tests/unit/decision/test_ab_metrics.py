import pytest
from pydantic import ValidationError

from decision.ab_metrics import AbAnalysis, AbMetric
from decision.objectives import Stage


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": "median"}, "mean"),
        ({"type": "mean", "role": "guardrail"}, "needs a margin"),
        ({"type": "mean", "margin": 1}, "nothing else has one"),
        ({"type": "mean", "role": "guardrail", "margin": 0}, "above zero"),
        ({"type": "mean", "role": "guardrail", "margin": 1, "minimum_effect": 1}, "no minimum_effect"),
        ({"type": "mean", "denominator": "views"}, "only a ratio"),
        ({"type": "proportion", "deviation": 1}, "follows from its baseline"),
        ({"type": "proportion", "minimum_effect": "10%"}, "percentage points"),
        ({"type": "proportion", "baseline": 42}, "between 0% and 100%"),
        ({"type": "mean", "expected": 2}, "needs a baseline"),
        ({"type": "mean", "baseline": 3, "expected": 2}, "better than the baseline"),
        ({"type": "mean", "colour": "red"}, "Extra inputs"),
    ],
)
def test_a_metric_that_makes_no_sense_is_an_error_of_the_plan(fields, said):
    with pytest.raises(ValidationError, match=said):
        AbMetric.model_validate(fields)


def test_a_stage_declares_its_test_as_people_write_it():
    stage = Stage.model_validate(
        {
            "name": "ab-test",
            "share": "50%",
            "metrics": {
                "accuracy": {"type": "proportion", "baseline": "42%", "expected": "48%", "minimum_effect": "3pp"},
                "errors": {"type": "proportion", "role": "guardrail", "direction": "decrease", "margin": "0.5pp"},
            },
            "analysis": {"correction": "benjamini-hochberg", "users_per_day": 1200},
        }
    )
    assert stage.metrics["accuracy"].expected == pytest.approx(0.48)
    assert stage.metrics["errors"].sign == -1
    assert stage.analysis.alpha == 0.05


@pytest.mark.parametrize("fields", [{"alpha": 0}, {"alpha": "60%"}, {"power": 1}, {"users_per_day": 0}])
def test_an_analysis_that_makes_no_sense_is_an_error_of_the_plan(fields):
    with pytest.raises(ValidationError):
        AbAnalysis.model_validate(fields)
