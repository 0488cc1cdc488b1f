"""What so many wrong answers in so many runs say of a probability."""

from scipy import stats


def upper_bound(wrong: int, runs: int) -> float:
    """The 95 % bound of Clopper and Pearson on a share of which ``wrong`` of ``runs`` were seen."""
    return float(stats.beta.ppf(0.95, wrong + 1, runs - wrong)) if wrong < runs else 1.0
