import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rollouts.ab_estimates import Rates, adjust, difference_of_means, linearise, sample_of

UNITS = np.arange(60)
TREATED = UNITS % 2 == 1
BEFORE = (UNITS * 37 % 101) / 10.0
AFTER = 2 + 0.8 * BEFORE + (UNITS * 53 % 17) / 5.0 + 0.7 * TREATED
CLICKS, VIEWS = UNITS * 29 % 13 + 0.0, UNITS * 17 % 7 + 3.0


@pytest.mark.parametrize(
    ("treatment", "control", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0533, 0.3377),
        ((9, 10), (3, 10), 0.1821, 0.8370),
        ((6, 7), (2, 7), 0.0544, 0.8478),
        ((5, 56), (0, 29), -0.0313, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.7225, 1.0),
        ((10, 10), (0, 10), 0.6777, 1.0),
    ],
)
def test_intervals_of_proportions_are_those_of_newcombe_1998_table_2_method_mee(treatment, control, low, high):
    interval = Rates(*control, *treatment).interval(0.05)
    assert interval == pytest.approx((low, high), abs=5e-5)


def test_the_score_test_against_zero_is_the_chi_square_test():
    from scipy.stats import chi2_contingency

    table = [[48, 32], [56, 14]]
    assert Rates(48, 80, 56, 70).p_two_sided() == pytest.approx(chi2_contingency(table, correction=False).pvalue)


def test_student_1908_sleep_data_give_the_welch_test_that_r_prints_for_them():
    """R documentation of ``sleep``, t.test(extra ~ group): t = -1.8608, df = 17.776, p = 0.07939, -3.3655 to 0.2055."""
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    difference = difference_of_means(sample_of(second), sample_of(first))
    assert difference.value / difference.error == pytest.approx(-1.8608, abs=5e-5)
    assert difference.degrees == pytest.approx(17.776, abs=5e-4)
    assert difference.p_two_sided() == pytest.approx(0.07939, abs=5e-6)
    assert difference.interval(0.05) == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)


def test_a_covariate_gives_the_effect_of_an_analysis_of_covariance():
    """statsmodels 0.15.0, ols("after ~ treated + before"): 0.6467347819046116."""
    adjusted = adjust(AFTER, BEFORE, TREATED)
    difference = difference_of_means(sample_of(adjusted.values[~TREATED]), sample_of(adjusted.values[TREATED]))
    assert difference.value == pytest.approx(0.6467347819046116, rel=1e-10)


def test_means_with_and_without_a_covariate_are_those_of_tea_tasting():
    """tea-tasting 1.14.0, Mean("after") and Mean("after", "before"); its slope is pooled over the arms, ours within."""
    plain = difference_of_means(sample_of(AFTER[~TREATED]), sample_of(AFTER[TREATED]))
    assert plain.p_two_sided() == pytest.approx(0.347125895030547, rel=1e-10)
    assert plain.interval(0.05) == pytest.approx((-0.7163899405637368, 2.004389940563735), rel=1e-10)
    values = adjust(AFTER, BEFORE, TREATED).values
    adjusted = difference_of_means(sample_of(values[~TREATED]), sample_of(values[TREATED]))
    assert adjusted.p_two_sided() == pytest.approx(0.01533933678971455, rel=1e-4)


def test_ratios_are_those_of_tea_tasting():
    """tea-tasting 1.14.0, RatioOfMeans("clicks", "views")."""
    arms = [sample_of(linearise(CLICKS[arm], VIEWS[arm])) for arm in (~TREATED, TREATED)]
    difference = difference_of_means(*arms)
    assert arms[0].mean == pytest.approx(0.9944444444444445, rel=1e-12)
    assert difference.interval(0.05) == pytest.approx((-0.3720704145025204, 0.37200834125608967), rel=1e-8)
    assert difference.p_two_sided() == pytest.approx(0.9998673232581952, rel=1e-8)


counts = st.integers(1, 300).flatmap(lambda units: st.tuples(st.integers(0, units), st.just(units)))


@given(counts, counts, st.floats(-0.9, 0.9))
def test_the_null_rates_of_the_score_test_are_the_likeliest_pair(control, treatment, bound):
    from rollouts.ab_estimates import _likeliest_control_rate

    def likelihood(rate):
        rates = np.array([rate, rate + bound])
        hits, units = np.array([control[0], treatment[0]]), np.array([control[1], treatment[1]])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nansum(np.where(hits > 0, hits * np.log(rates), 0.0)) + np.nansum(
                np.where(units > hits, (units - hits) * np.log1p(-rates), 0.0)
            )

    found = _likeliest_control_rate(Rates(*control, *treatment), bound)
    low, high = max(0.0, -bound), min(1.0, 1.0 - bound)
    inside = min(max(found, low + 1e-9), high - 1e-9)
    for other in np.linspace(low, high, 41)[1:-1]:
        assert likelihood(inside) >= likelihood(other) - 1e-6


@given(counts, counts)
def test_swapped_arms_give_the_mirrored_interval_and_the_same_p_value(control, treatment):
    there, back = Rates(*control, *treatment), Rates(*treatment, *control)
    low, high = there.interval(0.05)
    assert back.interval(0.05) == pytest.approx((-high, -low), abs=1e-9)
    assert back.p_two_sided() == pytest.approx(there.p_two_sided())
    assert low - 1e-9 <= there.difference <= high + 1e-9


@given(counts, counts, st.floats(-0.5, 0.5))
def test_an_interval_holds_what_the_test_does_not_refute(control, treatment, bound):
    rates = Rates(*control, *treatment)
    low, high = rates.interval(0.05)
    assume(min(abs(bound - low), abs(bound - high)) > 1e-6)
    assert (low < bound < high) == (rates.p_above(bound) > 0.025 and rates.p_below(bound) > 0.025)


numbers = arrays.arrays(np.float64, st.integers(3, 30), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 3)))


@given(numbers, numbers, st.floats(0.01, 100), st.floats(-100, 100))
def test_another_unit_of_measure_changes_no_p_value(control, treatment, scale, moved):
    before = difference_of_means(sample_of(control), sample_of(treatment))
    assume(before is not None and before.error > 1e-3)
    after = difference_of_means(sample_of(scale * control + moved), sample_of(scale * treatment + moved))
    assert after.value == pytest.approx(scale * before.value, rel=1e-6, abs=1e-6 * scale)
    assert after.p_two_sided() == pytest.approx(before.p_two_sided(), rel=1e-5, abs=1e-9)


@given(numbers)
def test_a_covariate_that_is_another_units_value_moves_no_mean_of_all(values):
    treated = np.arange(len(values)) % 2 == 1
    adjusted = adjust(values, np.roll(values, 1), treated)
    assert adjusted.values.mean() == pytest.approx(values.mean(), abs=1e-6)
    assert -1e-9 <= adjusted.reduction <= 1 + 1e-9


def test_arms_without_variance_say_nothing():
    assert difference_of_means(sample_of(np.full(9, 0.1)), sample_of(np.full(9, 0.3))) is None
    assert sample_of(np.array([1.0])) is None
    assert linearise(np.array([1.0]), np.array([0.0])) is None
