from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rollouts.rank_test import _brunner_munzel, _wilcoxon, p_larger

small = st.lists(st.integers(0, 4).map(float), min_size=2, max_size=5).map(np.array)


def test_the_example_of_r_for_wilcoxon_gives_the_p_value_that_r_prints():
    """R documentation of wilcox.test (Hollander and Wolfe 1973, 69f): W = 35, p-value = 0.1272, one-sided, exact."""
    term = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
    earlier = np.array([1.15, 0.88, 0.90, 0.74, 1.21])
    assert _wilcoxon(term, earlier) == pytest.approx(0.1272, abs=5e-5)


def test_the_pain_scores_of_brunner_and_munzel_give_the_p_value_of_r():
    """R package lawstat, brunner.munzel.test: p = 0.005786, two-sided."""
    first = np.array([1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 1, 1.0])
    second = np.array([3, 3, 4, 3, 1, 2, 3, 1, 1, 5, 4.0])
    assert 2 * _brunner_munzel(second, first) == pytest.approx(0.005786, abs=5e-7)


@given(small, small)
def test_small_samples_are_compared_with_every_split_also_with_ties(first, second):
    ranks = stats.rankdata(np.concatenate([first, second]))
    sums = [ranks[list(chosen)].sum() for chosen in combinations(range(len(ranks)), len(first))]
    exact = np.mean([total >= ranks[: len(first)].sum() - 1e-9 for total in sums])
    assert _wilcoxon(first, second) == pytest.approx(exact)


@given(small, small)
def test_numbers_that_only_keep_their_order_keep_the_p_value(first, second):
    assert p_larger(first, second) == pytest.approx(p_larger(np.exp(first), np.exp(second)))


@given(small, small)
def test_not_both_can_be_shown_to_be_larger(first, second):
    assert p_larger(first, second) + p_larger(second, first) >= 1 - 1e-9


def test_large_samples_agree_with_scipy():
    rng = np.random.default_rng(2)
    first, second = rng.poisson(3, 300).astype(float), rng.poisson(2.8, 200).astype(float)
    expected = stats.mannwhitneyu(first, second, alternative="greater", use_continuity=False, method="asymptotic")
    assert _wilcoxon(first, second) == pytest.approx(expected.pvalue)
    expected = stats.brunnermunzel(second, first, alternative="less")
    assert min(_brunner_munzel(first, second), 1 - _brunner_munzel(first, second)) == pytest.approx(
        min(expected.pvalue, 1 - expected.pvalue)
    )
