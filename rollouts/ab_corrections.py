"""Corrections of p-values for how many hypotheses are tested together.

Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979: keeps the
probability of any false finding, whatever the dependence. Benjamini and Hochberg, "Controlling the false discovery
rate", Journal of the Royal Statistical Society B 57, 1995: keeps the expected share of false ones among the findings,
for independent or positively dependent tests.
"""

from collections.abc import Sequence

import numpy as np

from decision.ab_metrics import Correction


def adjust_p_values(p_values: Sequence[float | None], correction: Correction) -> list[float | None]:
    """Adjusted p-values in the order given.

    A hypothesis whose p-value could not be computed (None) stays None and still counts: nobody makes a family smaller
    by measuring badly.
    """
    family = len(p_values)
    known = [index for index, p in enumerate(p_values) if p is not None]
    values = np.array([p_values[index] for index in known], dtype=float)
    order = np.argsort(values, kind="stable")
    ranks = np.arange(1, len(values) + 1)
    if correction == "holm":
        adjusted = np.maximum.accumulate(values[order] * (family + 1 - ranks))
    else:
        adjusted = np.minimum.accumulate((values[order] * (family / ranks))[::-1])[::-1]
    result: list[float | None] = [None] * family
    for position, value in zip(order, np.minimum(adjusted, 1.0), strict=True):
        result[known[position]] = float(value)
    return result
