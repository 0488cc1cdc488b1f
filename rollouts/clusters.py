"""How much less than their number the requests of an arm tell, because those of one user are alike.

Routers assign users, and the judge looks at requests. A user who tries again what failed, a bot whose every request
fails, and users of whom some fail more often than others make failures come in clusters, all of them in one arm. With
b of a user's n requests unwanted and p their share in the arm, the variance of the arm's share is

    D = sum over users (b - p n)^2 / (N p (1 - p))

times that of N independent requests (the design effect: Kish, "Survey sampling", 1965, chapter 5; the sum is the delta
method's variance of a ratio of sums over users: Deng, Knoblich and Lu, KDD 2018). An e-process stays one when it is
raised to a power of 1 / D, for D of 1 or more (Jensen's inequality), and N requests in perfect clusters of D then weigh
what N / D independent ones do. D is estimated, so this is no theorem: how often it is wrong was simulated.
"""

import numpy as np
from numpy.typing import NDArray


def design_effect(users: NDArray[np.int64], is_canary: NDArray[np.bool_], bad: NDArray[np.bool_]) -> float:
    """The factor by which the variance of the difference of both arms' shares of ``bad`` is larger, at least 1.

    ``users`` are small numbers from 0, one for each request (shape of all three: requests).
    """
    weights, effects = [], []
    for arm in (is_canary, ~is_canary):
        requests = np.bincount(users[arm]).astype(float)
        failed = np.bincount(users[arm], weights=bad[arm])
        total = float(requests.sum())
        if total == 0:
            return 1.0
        share = float(failed.sum()) / total
        spread = total * share * (1 - share)
        off = failed - share * requests
        effects.append(max(1.0, float(off @ off) / spread) if spread > 0 else 1.0)
        weights.append(1 / total)
    return float(np.average(effects, weights=weights))
