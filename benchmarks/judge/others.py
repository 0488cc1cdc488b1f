"""Other rules for canaries, re-implemented from their published formulas. None of them is the software it is named for.

Each looks at the error rate of a stage's minutes and says after which minute it first raises the alarm (None: never).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaln
from scipy.stats import norm, rankdata

from benchmarks.judge.streams import Stream, per_minute

Floats = NDArray[np.float64]

KAYENTA_LOOKS = tuple(range(5, 61, 5))
_QUANTILE = float(norm.ppf(0.99))  # a confidence level of 98 %
_TOLERANCE = 0.25
_AVI_CONCENTRATION = 100.0


@dataclass
class Counter:
    """Failed measurements of a rollout, one a minute, that are counted until there are more than ``limit``.

    A measurement fails when the canary's error rate of that minute is above ``above``. Argo-like: failureLimit 3, the
    fourth aborts. Flagger-like: threshold 5, the fifth rolls back, so ``limit`` is 4. Counts are kept over the stages.
    """

    limit: int
    above: float
    failed: int = field(default=0)

    def first_alarm(self, stage: Stream) -> int | None:
        """The minute of the alarm."""
        requests, errors, _, _ = per_minute(stage)
        for minute, (served, bad) in enumerate(zip(requests, errors, strict=True), 1):
            # A minute without requests has no value: Flagger counts it as failed, Argo retries; none occurs here.
            self.failed += bool(served and bad / served > self.above)
            if self.failed > self.limit:
                return minute
        return None


def kayenta(stage: Stream, looks: Sequence[int] = KAYENTA_LOOKS) -> int | None:
    """NetflixACAJudge-v1.0 on the error rate in percent, one point a minute, direction increase, after these minutes.

    High when the lower end of the Mann-Whitney interval of the shift exceeds a quarter of its estimate and the ratio of
    the means is at least 1. In percent, because its absolute tolerance of 1e-4 makes verdicts on small numbers wrong.
    """
    canary_requests, canary_errors, stable_requests, stable_errors = per_minute(stage)
    canary = 100 * canary_errors / np.maximum(canary_requests, 1)
    stable = 100 * stable_errors / np.maximum(stable_requests, 1)
    return next((minute for minute in looks if _is_high(canary[:minute], stable[:minute])), None)


def _is_high(canary: Floats, stable: Floats) -> bool:
    if len(np.unique(np.concatenate([canary, stable]))) == 1 or np.array_equal(np.sort(canary), np.sort(stable)):
        return False
    if canary.mean() and stable.mean() and canary.mean() / stable.mean() < 1:
        return False
    # The statistic falls with the shift: when it is not positive at a shift of 0, the lower end is not above 0.
    if _shift_statistic(0.0, _QUANTILE, canary, stable) <= 0:
        return False
    ends = float(canary.min() - stable.max()), float(canary.max() - stable.min())
    low = _root(_QUANTILE, canary, stable, ends)
    return low > _TOLERANCE * abs(_root(0.0, canary, stable, ends))


def _root(quantile: float, canary: Floats, stable: Floats, ends: tuple[float, float]) -> float:
    def of(shift: float) -> float:
        return _shift_statistic(shift, quantile, canary, stable)

    at_ends = of(ends[0]), of(ends[1])
    if at_ends[0] * at_ends[1] > 0:  # no change of sign: the nearer end
        return ends[0] if abs(at_ends[0]) < abs(at_ends[1]) else ends[1]
    return float(brentq(of, *ends, xtol=1e-4, maxiter=1000))


def _shift_statistic(shift: float, quantile: float, canary: Floats, stable: Floats) -> float:
    m, n = len(canary), len(stable)
    joined = np.concatenate([canary - shift, stable])
    ranks = rankdata(joined)
    statistic = float(ranks[:m].sum()) - m * (m + 1) / 2 - m * n / 2
    _, ties = np.unique(joined, return_counts=True)
    variance = m * n / 12 * ((m + n + 1) - float((ties**3 - ties).sum()) / ((m + n) * (m + n - 1)))
    if variance <= 0:
        return -quantile
    return (statistic - 0.5 * float(np.sign(statistic))) / float(np.sqrt(variance)) - quantile


def avi_counts(stage: Stream, share: float, alpha: float) -> tuple[int, int] | None:
    """Lindon and Malek's anytime-valid test of the canary's share of all errors, with a look at every error.

    e = B(a p + k1, a (1 - p) + k2) / B(a p, a (1 - p)) / (p^k1 (1 - p)^k2), a = 100; an alarm when 1/e is at most
    alpha and the canary has more than its share. Returns the alarm's minute and canary requests.
    """
    errors_at = np.flatnonzero(stage.requests.is_error)
    is_canary = stage.requests.is_canary
    canary = np.cumsum(is_canary[errors_at]).astype(float)
    both = np.arange(1, len(errors_at) + 1, dtype=float)
    first, second = _AVI_CONCENTRATION * share, _AVI_CONCENTRATION * (1 - share)
    log_e = betaln(first + canary, second + both - canary) - betaln(first, second)
    log_e -= canary * np.log(share) + (both - canary) * np.log(1 - share)
    alarms = np.flatnonzero((log_e >= -np.log(alpha)) & (canary > share * both))
    if not len(alarms):
        return None
    at = int(errors_at[alarms[0]])
    return int(stage.at_s[at] // 60) + 1, int(is_canary[: at + 1].sum())
