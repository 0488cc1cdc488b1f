"""Sample-ratio mismatch: do as many users see the canary as the router was told to send there?

Users are counted, not requests: the router assigns users, and one busy user would shift a share of requests. With k of
n users in the canary and an expected share s, the e-value of a Beta(a s, a (1 - s)) mixture against the binomial is

    e = B(a s + k, a (1 - s) + n - k) / B(a s, a (1 - s)) / (s^k (1 - s)^(n - k)),   a = 100

(Lindon and Malek, "Anytime-valid inference for multinomial count data", 2022, arXiv 2011.03567): valid at every look.
"""

from math import exp, log

from scipy.special import betaln
from scipy.stats import binomtest

ALPHA = 0.001
"""Probability that a router that splits as it should ever freezes a stage."""
_CONCENTRATION = 100.0


def mismatch_p_value(canary_users: int, users: int, share: float) -> float:
    """An anytime-valid p-value of "the canary's share of users is ``share``"; 1.0 without users or at 0 % and 100 %.

    At a share of 0 or 1 a single user in the wrong arm gives 0.0.
    """
    if share in (0.0, 1.0):
        return 1.0 if canary_users == round(share * users) else 0.0
    stable_users = users - canary_users
    first, second = _CONCENTRATION * share, _CONCENTRATION * (1 - share)
    log_e = float(betaln(first + canary_users, second + stable_users) - betaln(first, second))
    log_e -= canary_users * log(share) + stable_users * log(1 - share)
    return min(1.0, exp(-max(-700.0, min(log_e, 700.0))))


def split_p_value(treatment_units: int, units: int, share: float) -> float:
    """The exact two-sided binomial p-value of "the treatment's share of units is ``share``", for a test that is looked
    at once. 0.0 without units: nothing was split."""
    if units == 0:
        return 0.0
    return float(binomtest(treatment_units, units, share).pvalue)
