from collections import Counter

import pytest

from benchmarks.bounds import upper_bound
from benchmarks.leaks.__main__ import MOST_WRONG, Cell, worst


def cell(name, wrong, runs):
    return Cell(name, runs, Counter({"leaking": wrong}), 0, Counter())


@pytest.mark.parametrize(("wrong", "runs", "holds"), [(0, 300, True), (3, 300, False), (0, 1, False), (1, 300, False)])
def test_a_claim_holds_by_the_bound_and_not_by_the_share(wrong, runs, holds):
    bound, told = worst([cell("daily", wrong, runs)], "leaking")
    assert (bound <= MOST_WRONG) == holds
    assert told == f"daily {wrong}/{runs}"


def test_the_sizes_of_one_leak_are_pooled():
    bound, told = worst([cell("late 2", 1, 100), cell("late 3", 0, 900), cell("linear 2", 0, 1000)], "leaking")
    assert (bound, told) == (upper_bound(1, 1000), "late 1/1000")
