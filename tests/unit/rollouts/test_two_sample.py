import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rollouts.sample_ratio import mismatch_p_value
from rollouts.two_sample import Counts, bound_of_difference, count_bad, cut_into_blocks, log_evidence

arms = arrays.arrays(np.bool_, st.integers(min_value=0, max_value=400))


@given(arms, st.sampled_from([None, 3, 200]))
def test_blocks_hold_both_arms_and_depend_on_the_past_alone(is_canary: np.ndarray, most: int | None) -> None:
    blocks = cut_into_blocks(is_canary, most)
    assert (blocks.canary >= 1).all()
    assert (blocks.stable >= 1).all()
    assert blocks.canary.sum() + blocks.stable.sum() == (blocks.ends[-1] if len(blocks.ends) else 0)
    earlier = cut_into_blocks(is_canary[: len(is_canary) // 2], most)
    assert (earlier.ends == blocks.ends[: len(earlier.ends)]).all()


@given(arms.filter(lambda a: a.any() and not a.all()), st.integers(0, 1000))
def test_counts_add_up(is_canary: np.ndarray, seed: int) -> None:
    bad = np.random.default_rng(seed).random(len(is_canary)) < 0.3
    blocks = cut_into_blocks(is_canary)
    counts = count_bad(blocks, is_canary, bad)
    end = blocks.ends[-1] if len(blocks.ends) else 0
    assert counts.canary_bad.sum() == (bad & is_canary)[:end].sum()
    assert counts.stable_bad.sum() == (bad & ~is_canary)[:end].sum()


@settings(deadline=None)
@given(
    st.floats(0.001, 0.6),
    st.floats(0.0, 0.3),
    st.floats(0.0, 0.3),
    st.sampled_from([0.0, 0.005, 0.1, -0.05]),
    st.sampled_from(["worse", "within"]),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_the_next_block_never_gains_on_average_under_the_null(
    rate: float, before_canary: float, before_stable: float, delta: float, claim: str, sizes: tuple[int, int]
) -> None:
    """Exactly, by summing over all outcomes of the block: evidence after it over evidence before it."""
    canary_n, stable_n = sizes
    canary_rate = rate + delta
    assume(0 <= canary_rate <= 1)
    past = Counts(*(np.array([v]) for v in (60.0, round(60 * before_canary), 200.0, round(200 * before_stable))))
    before = np.exp(log_evidence(claim, past, delta)[-1])
    mean = 0.0
    for canary_bad in range(canary_n + 1):
        for stable_bad in range(stable_n + 1):
            chance = _binomial(canary_bad, canary_n, canary_rate) * _binomial(stable_bad, stable_n, rate)
            now = Counts(
                np.append(past.canary, canary_n),
                np.append(past.canary_bad, canary_bad),
                np.append(past.stable, stable_n),
                np.append(past.stable_bad, stable_bad),
            )
            mean += chance * np.exp(log_evidence(claim, now, delta)[-1])
    assert mean <= before * (1 + 1e-6) + 1e-12


def _binomial(k: int, n: int, p: float) -> float:
    from math import comb

    return comb(n, k) * p**k * (1 - p) ** (n - k)


def test_a_thousand_clean_requests_show_half_a_percentage_point_and_five_hundred_do_not() -> None:
    def highest(canary: int) -> float:
        counts = Counts(np.ones(canary), np.zeros(canary), np.ones(canary), np.zeros(canary))
        return float(log_evidence("within", counts, 0.005)[-1])

    assert highest(1000) > np.log(20) > highest(500)


def test_the_bounds_of_a_difference_cover_it() -> None:
    rng = np.random.default_rng(11)
    missed = 0
    for _ in range(60):
        is_canary = rng.random(3000) < 0.3
        bad = rng.random(3000) < np.where(is_canary, 0.08, 0.05)
        counts = count_bad(cut_into_blocks(is_canary), is_canary, bad)
        low, high = (bound_of_difference(claim, counts, 0.05) for claim in ("worse", "within"))
        assert low is not None
        assert high is not None
        missed += not low <= 0.03 <= high
    assert missed <= 60 * 0.1 + 3 * (60 * 0.1 * 0.9) ** 0.5


@pytest.mark.parametrize(("canary", "users", "share", "frozen"), [
    (50, 1000, 0.05, False), (100, 1000, 0.05, True), (0, 1000, 0.05, True), (0, 20, 0.05, False), (0, 0, 0.5, False),
    (5, 5, 1.0, False), (4, 5, 1.0, True), (1, 5, 0.0, True),
])  # fmt: skip
def test_a_wrong_share_of_users_is_noticed(canary: int, users: int, share: float, frozen: bool) -> None:
    assert (mismatch_p_value(canary, users, share) <= 0.001) == frozen


def test_a_right_share_of_users_is_hardly_ever_called_wrong_however_often_one_looks() -> None:
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(300):
        canary = np.cumsum(rng.random(2000) < 0.05)
        alarms += any(mismatch_p_value(int(canary[n - 1]), n, 0.05) <= 0.05 for n in range(20, 2001, 20))
    assert alarms <= 300 * 0.05 + 3 * (300 * 0.05 * 0.95) ** 0.5
