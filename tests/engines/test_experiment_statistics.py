"""Arms compared, beside scipy.stats and statsmodels; each defect of the papers' own statistics has a test here."""

import math
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_effectsize

from engines.experiments.analysis import ADVICE, Analysis, Verdict, analysis_of
from engines.experiments.metrics import METRICS, PLANNED_USERS_PER_ARM, Kind, accepted
from engines.experiments.statistics import Group, NotEnough, compare, holm, sample_ratio_p_value
from engines.switches import Arm

pytestmark = pytest.mark.phase4


def group(values):
    mean = fmean(values)
    return Group(len(values), mean, math.fsum((value - mean) ** 2 for value in values))


def share(successes, users):
    return Group(users, successes / users, successes * (1 - successes / users))


durations = st.lists(st.floats(0, 1440), min_size=30, max_size=80).filter(lambda values: len(set(values)) > 5)


@given(durations, durations)
def test_means_are_compared_as_welch_does(control, treatment):
    try:
        found = compare(Kind.MEAN, group(control), group(treatment))
    except NotEnough:
        assert max(stats.tstd(control), stats.tstd(treatment)) < 1e-5 * max(1.0, *control, *treatment)
        return
    expected = stats.ttest_ind(treatment, control, equal_var=False)
    interval = expected.confidence_interval()
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-6)


def test_error_and_degrees_of_freedom_are_of_the_same_test():
    """The papers' code put Welch's standard error into a test that pools the variances."""
    random = Random(1)
    control = [random.gauss(10, 1) for _ in range(300)]
    treatment = [random.gauss(10.5, 9) for _ in range(40)]
    found = compare(Kind.MEAN, group(control), group(treatment))
    pooled = stats.ttest_ind(treatment, control, equal_var=True).pvalue
    assert found.p_value == pytest.approx(stats.ttest_ind(treatment, control, equal_var=False).pvalue)
    assert abs(found.p_value - pooled) > 0.1


@given(st.integers(30, 2000), st.integers(30, 2000), st.floats(0, 1), st.floats(0, 1))
def test_proportions_are_compared_by_chi_square_and_newcombes_interval(users_a, users_b, share_a, share_b):
    """The papers' code tested everything by t."""
    hits_a, hits_b = round(share_a * users_a), round(share_b * users_b)
    try:
        found = compare(Kind.PROPORTION, share(hits_a, users_a), share(hits_b, users_b))
    except NotEnough:
        hits = hits_a + hits_b
        assert min(users_a, users_b) * min(hits, users_a + users_b - hits) / (users_a + users_b) < 5
        return
    table = [[hits_a, users_a - hits_a], [hits_b, users_b - hits_b]]
    expected = stats.chi2_contingency(table, correction=False)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    low, high = confint_proportions_2indep(hits_b, users_b, hits_a, users_a, method="newcomb")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.effect_size == pytest.approx(proportion_effectsize(hits_b / users_b, hits_a / users_a), abs=1e-9)


@settings(max_examples=20)  # statsmodels collects garbage each time
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_several_metrics_are_corrected_as_holm_does(p_values):
    adjusted = holm({str(place): p for place, p in enumerate(p_values)})
    expected = multipletests(p_values, method="holm")[1]
    assert [adjusted[str(place)] for place in range(len(p_values))] == pytest.approx(list(expected))


@pytest.mark.parametrize(
    ("kind", "control", "treatment"),
    [
        (Kind.MEAN, Group(29, 1.0, 5.0), Group(500, 2.0, 50.0)),
        (Kind.MEAN, Group(0, math.nan, math.nan), Group(500, 2.0, 50.0)),
        (Kind.MEAN, Group(100, 2.0, 0.0), Group(100, 3.0, 0.0)),
        (Kind.PROPORTION, share(0, 500), share(2, 500)),
        (Kind.PROPORTION, share(500, 500), share(500, 500)),
    ],
)
def test_too_little_is_said_to_be_too_little(kind, control, treatment):
    with pytest.raises(NotEnough):
        compare(kind, control, treatment)


def test_the_planned_number_of_users_is_that_of_the_plans_effect():
    effect = proportion_effectsize(0.48, 0.42)
    needed = NormalIndPower().solve_power(effect, alpha=0.05, power=0.8, alternative="two-sided")
    assert math.ceil(needed) == pytest.approx(PLANNED_USERS_PER_ARM, abs=6)  # statsmodels takes arcsines


def test_uneven_arms_are_noticed():
    assert sample_ratio_p_value(1000, 1000) == pytest.approx(1)
    assert sample_ratio_p_value(900, 1100) == pytest.approx(stats.binomtest(900, 2000).pvalue, rel=0.1)
    assert sample_ratio_p_value(0, 0) == 1


def test_accepted_is_what_was_liked():
    assert [accepted(rating) for rating in (0.0, 0.69, 0.7, 1.0)] == [0, 0, 1, 1]


BETTER, SAME, WORSE = (480, 600), (480, 480), (600, 480)


def analysis(users=1200, **shares):
    """Each metric's successes of ``users`` in control and treatment; all others are the same in both arms."""
    groups = {}
    for name, metric in METRICS.items():
        hits = shares.get(name, SAME)
        scale = 4.0 if metric.kind is Kind.MEAN else 1.0
        arms = [share(count, users) for count in hits]
        scaled = [Group(one.users, one.mean * scale, one.squares * scale**2) for one in arms]
        groups[name] = dict(zip((Arm.CONTROL, Arm.TREATMENT), scaled, strict=True))
    return analysis_of(groups)


NAMES = list(METRICS)


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ({}, Verdict.HOLD),
        ({NAMES[0]: BETTER}, Verdict.GO_WITH_PLAN),
        ({NAMES[0]: BETTER, NAMES[1]: BETTER, NAMES[3]: BETTER}, Verdict.GO),
        ({NAMES[0]: BETTER, NAMES[1]: BETTER, NAMES[2]: BETTER, NAMES[3]: WORSE}, Verdict.NO_GO),
        ({NAMES[5]: WORSE}, Verdict.NO_GO),
    ],
)
def test_the_verdict_counts_what_is_significant(shares, verdict):
    assert analysis(**shares).verdict is verdict


def test_metrics_that_merely_lean_to_the_better_side_are_not_counted():
    """The papers' code counted the positive ones among all metrics, not among the significant ones."""
    leaning = dict.fromkeys(NAMES, (480, 492))
    assert analysis(**leaning).verdict is Verdict.HOLD
    one_better = analysis(**(leaning | {NAMES[0]: BETTER}))
    assert one_better.verdict is Verdict.GO_WITH_PLAN
    assert not one_better.is_significant(NAMES[1])


def test_before_the_planned_number_of_users_nothing_is_shown():
    early = analysis(users=1000, **dict.fromkeys(NAMES, (300, 500)))
    assert early.is_significant(NAMES[0])
    assert early.verdict is Verdict.HOLD


def test_with_uneven_arms_nothing_is_shown():
    control, treatment = share(480, 1200), share(700, 1400)
    groups = {name: {Arm.CONTROL: control, Arm.TREATMENT: treatment} for name in METRICS}
    uneven = analysis_of(groups)
    assert uneven.uneven == NAMES
    assert uneven.verdict is Verdict.HOLD


def test_each_verdict_has_advice_of_its_own():
    """The papers' reporter looked for "SUCCESS" within the verdict, so that its conditional forms advised to deploy."""
    assert set(ADVICE) == set(Verdict)
    assert len(set(ADVICE.values())) == len(Verdict)
    advises = [verdict for verdict, advice in ADVICE.items() if "may answer everybody" in advice]
    assert advises == [Verdict.GO]


def test_a_verdict_needs_every_metric_to_be_there():
    with pytest.raises(KeyError):
        Analysis({}, {}).has_planned_users  # noqa: B018 - reading it is what is tested
