import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.accuracy import outcome_of
from collectors.paired_accuracy import compare, ratio_with_interval, read_outcomes
from processes.errors import InputError

cases = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


def content(rows, header="unit,old,new"):
    return "\n".join([header, *(f"u{unit},{old},{new}" for unit, old, new in rows)]).encode() + b"\n"


def compared(rows):
    return compare(read_outcomes(content(rows), "outcomes"), "new", "old")


@given(cases)
def test_accuracies_are_shares_of_cases_and_the_gain_is_their_difference(rows):
    result = compared(rows)
    old, new = (sum(row[place] for row in rows) / len(rows) for place in (1, 2))
    assert (result.cases, result.units) == (len(rows), len({row[0] for row in rows}))
    assert result.baseline_accuracy == pytest.approx(old)
    assert result.candidate_accuracy == pytest.approx(new)
    assert result.gain == pytest.approx(new - old)
    if result.units == 1:
        assert result.gain_low is None
    else:
        assert result.gain_low <= result.gain <= result.gain_high


@given(cases)
def test_swapping_the_methods_turns_the_gain_and_its_interval_round(rows):
    there = compare(read_outcomes(content(rows), "o"), "new", "old")
    back = compare(read_outcomes(content(rows), "o"), "old", "new")
    assert back.gain == pytest.approx(-there.gain)
    if there.gain_low is not None:
        assert back.gain_high == pytest.approx(-there.gain_low)


@given(cases)
def test_a_method_gains_nothing_on_itself(rows):
    result = compare(read_outcomes(content(rows), "o"), "new", "new")
    assert (result.gain, result.gain_low or 0, result.gain_high or 0) == (0, 0, 0)
    assert outcome_of(result) != "passed"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1), st.integers(0, 1)), min_size=40, max_size=80))
def test_the_interval_is_that_of_a_regression_with_errors_clustered_by_unit(rows):
    """statsmodels multiplies the variance by (n - 1)/(n - 1) for a constant alone, and uses the same t."""
    units = np.array([row[0] for row in rows])
    if len(set(units)) < 2:
        return
    difference = np.array([row[2] - row[1] for row in rows], dtype=float)
    if difference.std() == 0:
        return
    fitted = sm.OLS(difference, np.ones(len(rows))).fit(cov_type="cluster", cov_kwds={"groups": units}, use_t=True)
    low, high = fitted.conf_int()[0]
    result = compared(rows)
    assert result.gain_low == pytest.approx(low, abs=1e-9)
    assert result.gain_high == pytest.approx(high, abs=1e-9)


def test_with_one_case_a_unit_it_is_the_paired_t_interval():
    differences = np.array([1.0, 0, 0, -1, 1, 1, 0, 1])
    mean, (low, high) = ratio_with_interval(differences, np.ones(8))
    half = 2.364624 * differences.std(ddof=1) / 8**0.5  # t of 7 degrees of freedom
    assert (mean, low, high) == pytest.approx((0.375, 0.375 - half, 0.375 + half))


def test_the_interval_holds_the_truth_as_often_as_it_says_when_cases_of_a_unit_are_alike():
    """4,000 seeded samples of 60 users with 1 to 9 like cases each: 95 % of intervals hold the true share."""
    random, held = np.random.default_rng(5), 0
    for _ in range(4000):
        cases_each = random.integers(1, 10, 60)
        taste = random.beta(2, 3, 60)
        _, (low, high) = ratio_with_interval(random.binomial(cases_each, taste).astype(float), cases_each.astype(float))
        held += low <= 0.4 <= high
    assert 0.935 < held / 4000 < 0.96


def test_no_case_says_nothing():
    result = compared([])
    assert (result.cases, result.gain, result.methods) == (0, None, [])
    assert outcome_of(result) == "inconclusive"


def test_one_unit_alone_says_nothing_about_others():
    result = compared([(1, 0, 1)] * 50)
    assert result.gain == 1
    assert outcome_of(result) == "inconclusive"


def test_a_candidate_that_is_not_shown_to_be_better_fails():
    assert outcome_of(compared([(n % 7, n % 2, (n + 1) % 2) for n in range(70)])) == "failed"
    assert outcome_of(compared([(n, 0, n % 2) for n in range(70)])) == "passed"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "header"),
        (b"user,a,b\n", "header"),
        (b"unit\n", "header"),
        (b"unit,a,a\n", "different methods"),
        (b"unit,a,\n", "different methods"),
        (b"unit,a,b\nu,1\n", "row 2"),
        (b"unit,a,b\nu,1,1\nu,1,2\n", "row 3"),
        (b"unit,a,b\n,1,1\n", "row 2"),
        (b"unit,a,b\nu,nan,1\n", "row 2"),
        (b"unit,a,b\n\xff,1,1\n", "decode"),
        (b'unit,a,b\n"u,1,1\n', "end of data"),
        (b"unit," + b",".join(b"m%d" % n for n in range(21)) + b"\n", "at most 20"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(text, why):
    with pytest.raises(InputError, match=f"outcomes: .*{why}"):
        read_outcomes(text, "outcomes")


def test_a_method_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no method 'newest', only old, new"):
        compare(read_outcomes(content([(1, 0, 1)]), "o"), "newest", "old")
