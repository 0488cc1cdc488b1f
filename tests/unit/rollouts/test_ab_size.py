from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.ab_metrics import AbAnalysis, AbMetric
from rollouts.ab_corrections import adjust_p_values
from rollouts.ab_estimates import Rates
from rollouts.ab_size import planned_size, size_for, size_of

ION = AbMetric(type="proportion", baseline="42%", expected="48%", minimum_effect="3pp")
# Benjamini and Hochberg 1995, section 4: 15 p-values of a trial of thrombolysis.
THROMBOLYSIS = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0),
]


def test_42_to_48_percent_needs_about_1074_a_group():
    """1,074.1 with quantiles rounded to 1.96 and 0.84, as in ION's own plan; 1,075.3 with exact ones."""
    size = planned_size({"accuracy": ION}, AbAnalysis(users_per_day=1200), 0.5)
    assert (size.control, size.treatment, size.units, size.days) == (1076, 1076, 2152, 2)
    rounded = (1.96 + 0.84) ** 2 * (0.42 * 0.58 + 0.48 * 0.52) / 0.06**2
    assert rounded == pytest.approx(1074.1, abs=0.05)


def test_examples_of_chow_shao_and_wang_come_out():
    """Two proportions 65 % and 85 %: 70 a group; two means, deviation 0.1, difference 0.05: 63; not inferior by 0.05,
    one-sided at 5 %: 50."""
    assert size_for(0.2, (0.65 * 0.35, 0.85 * 0.15), 0.05, 0.8, 0.5).control == 70
    assert size_for(0.05, (0.01, 0.01), 0.05, 0.8, 0.5).control == 63
    assert size_for(0.05, (0.01, 0.01), 0.10, 0.8, 0.5).control == 50


def test_a_medium_effect_needs_64_a_group():
    """Cohen 1988, table 2.4.1: d = 0.5, two-sided 5 %, power 0.80. TTestIndPower of statsmodels 0.15.0 agrees."""
    metric = AbMetric(type="mean", baseline=0, expected=0.5, deviation=1)
    assert size_of(metric, 0.05, AbAnalysis(), 0.5).control == 64
    uneven = size_of(metric.model_copy(update={"expected": 0.3}), 0.01, AbAnalysis(power=0.9), 0.75)
    assert (uneven.control, uneven.treatment) == (222, 664)  # solve_power(0.3, power=0.9, alpha=0.01, ratio=3): 221.27


def test_the_planned_power_is_reached():
    rng = np.random.default_rng(1)
    found = sum(
        Rates(*(int(rng.binomial(1076, 0.42)), 1076), *(int(rng.binomial(1076, 0.48)), 1076)).p_two_sided() <= 0.05
        for _ in range(2000)
    )
    assert abs(found / 2000 - 0.8) < 3 * (0.8 * 0.2 / 2000) ** 0.5


def test_guardrails_and_several_primary_metrics_ask_for_more():
    guardrail = AbMetric(type="proportion", role="guardrail", direction="decrease", baseline="1%", margin="0.5pp")
    assert planned_size({"accuracy": ION, "errors": guardrail}, AbAnalysis(), 0.5).units > 2152
    assert planned_size({"accuracy": ION, "again": ION}, AbAnalysis(), 0.5).units > 2152
    secondary = ION.model_copy(update={"role": "secondary"})
    assert planned_size({"accuracy": ION, "again": secondary}, AbAnalysis(), 0.5).units == 2152


def test_without_an_expectation_there_is_no_size():
    assert planned_size({"accuracy": AbMetric(type="proportion")}, AbAnalysis(), 0.5) is None
    assert planned_size({"time": AbMetric(type="mean", baseline=2, minimum_effect="10%")}, AbAnalysis(), 0.5) is None


def test_the_published_example_of_benjamini_and_hochberg_rejects_four_and_holm_three():
    assert sum(p <= 0.05 for p in adjust_p_values(THROMBOLYSIS, "benjamini-hochberg")) == 4
    assert sum(p <= 0.05 for p in adjust_p_values(THROMBOLYSIS, "holm")) == 3


@pytest.mark.parametrize(
    ("correction", "adjusted"),
    [("holm", [0.03, 0.06, 0.06, 0.02]), ("benjamini-hochberg", [0.02, 0.04, 0.04, 0.02])],
)
def test_adjusted_p_values_are_those_of_statsmodels(correction, adjusted):
    """statsmodels 0.15.0, multipletests with holm and fdr_bh."""
    assert adjust_p_values([0.01, 0.04, 0.03, 0.005], correction) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), max_size=12), st.sampled_from(["holm", "benjamini-hochberg"]))
def test_a_correction_only_raises_p_values_and_keeps_their_order(p_values, correction):
    adjusted = adjust_p_values(p_values, correction)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(adjusted[i] <= adjusted[j] for i, j in pairwise(order))


def test_a_hypothesis_that_could_not_be_tested_still_counts():
    assert adjust_p_values([0.02, None], "holm") == [0.04, None]
