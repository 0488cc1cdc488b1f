"""Runs the benchmark; see the package for what it claims."""

import argparse
import os
import statistics
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.bounds import upper_bound
from benchmarks.leaks import beside, families, held_out, leaking
from benchmarks.leaks.parts import Array, Random, long_hours, short_hours
from benchmarks.leaks.usual import USUAL, careful_sen
from loadtests.trend import judge_trend

RUNS = 300
"""Of each family; a third of that for each size of each leak, and for the usual tests."""

MOST_WRONG = 0.01
"""What the bound on the share of wrong answers of every family must not exceed: 300 runs without one bound it so."""

POWER = 0.95
POINTS = 259_200
LONGEST_S = 2.0
CLAIM_DOES_NOT_HOLD = 3


@dataclass(frozen=True)
class Cell:
    """How often each answer was given to one family."""

    name: str
    runs: int
    verdicts: Counter[str]
    usual_runs: int
    usual: Counter[str]

    def share(self, verdict: str) -> float:
        return self.verdicts[verdict] / self.runs


def main(arguments: list[str]) -> int:
    """Measure, print, and return 0 when all claims hold, otherwise 3."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks")
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args(arguments).runs
    few = max(1, runs // 3)
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        healthy = []
        for title, long, short in (
            ("Without growth, tuned on", families.LONG, families.SHORT),
            ("Without growth, never tuned on", held_out.LONG, held_out.SHORT),
        ):
            cells = list(pool.map(partial(of_family, runs=runs, few=few, long=True), long))
            cells += pool.map(partial(of_family, runs=runs, few=few, long=False), short)
            print_healthy(f"{title} ({runs} series each)", cells)
            healthy += cells
        leaks = []
        for title, group in (("tuned on", leaking.TUNED), ("never tuned on", leaking.HELD_OUT)):
            cells = list(pool.map(partial(of_leak, runs=few, long=True), pairs(group, leaking.SIZES)))
            print_leaks(f"72 h leaks, {title}; sizes in multiples of the limit ({few} series each)", cells, "x")
            leaks += cells
        cells = list(pool.map(partial(of_leak, runs=few, long=False), pairs(leaking.SHORT, leaking.SHORT_MB_PER_HOUR)))
        print_leaks(f"Leaks within 10 minutes; sizes in MB an hour ({few} series each)", cells, "MB/h")
        leaks += cells
        beside_healthy = list(pool.map(partial(of_pair, runs=runs), beside.HEALTHY))
        beside_leaking = list(pool.map(partial(of_pair, runs=runs), beside.LEAKING))
        print_beside(beside_healthy, beside_leaking, runs)
    seconds = seconds_for_a_second_each()
    print(f"\n{POINTS:,} samples (72 h at 1 Hz) judged in {seconds:.2f} s (median of 5)")
    claims = [
        ("leaking in at most 1 % of every family without growth", worst(healthy, "leaking")),
        ("stable in at most 1 % of every kind of leak above the limit, over all sizes", worst(leaks, "stable")),
        ("the same beside a control: leaking", worst(beside_healthy, "leaking")),
        ("the same beside a control: stable", worst(beside_leaking, "stable")),
    ]
    for claim, (bound, told) in claims:
        print(f"{'holds' if bound <= MOST_WRONG else 'DOES NOT HOLD'}: {claim} (most: {told}, at most {bound:.2%})")
    fast = seconds < LONGEST_S
    print(f"{'holds' if fast else 'DOES NOT HOLD'}: {POINTS:,} samples in less than {LONGEST_S:g} s")
    return 0 if fast and all(bound <= MOST_WRONG for _, (bound, _) in claims) else CLAIM_DOES_NOT_HOLD


def pairs(group: Sequence[leaking.Leak], sizes: Sequence[float]) -> list[tuple[leaking.Leak, float]]:
    return [(leak, size) for leak in group for size in sizes]


def seeded(name: str, number: int) -> Random:
    return np.random.default_rng([zlib.crc32(name.encode()), number])


def of_family(family: families.Family, runs: int, few: int, long: bool) -> Cell:
    return measured(family.__name__, family, runs, few, long)


def of_leak(pair: tuple[leaking.Leak, float], runs: int, long: bool) -> Cell:
    leak, size = pair
    return measured(f"{leak.__name__} {size:g}", lambda random, hours: leak(random, hours, size), runs, runs, long)


def measured(name: str, make: Callable[[Random, Array], tuple[Array, Array]], runs: int, few: int, long: bool) -> Cell:
    verdicts: Counter[str] = Counter()
    usual: Counter[str] = Counter()
    hours = long_hours() if long else short_hours()
    for number in range(runs):
        at, values = make(seeded(name.split()[0], number), hours)
        verdicts[judge_trend(at, values, limit_per_day=leaking.LIMIT_PER_DAY).verdict] += 1
        if number < few:
            usual.update(test for test, says_leak in USUAL.items() if says_leak(at, values))
            usual["Sen+ stable"] += careful_sen(at, values) == "stable"
    return Cell(name, runs, verdicts, few, usual)


def of_pair(pair: beside.Pair, runs: int) -> Cell:
    verdicts: Counter[str] = Counter()
    hours = long_hours()
    for number in range(runs):
        values, control = pair(seeded(pair.__name__, number), hours)
        limit = leaking.LIMIT_PER_DAY
        verdicts[judge_trend(hours, values, limit_per_day=limit, control=(hours, control)).verdict] += 1
        alone = judge_trend(hours, values, limit_per_day=limit).verdict
        verdicts["leaking alone"] += alone == "leaking"
        verdicts["stable alone"] += alone == "stable"
    return Cell(pair.__name__, runs, verdicts, 0, Counter())


def print_healthy(title: str, cells: Sequence[Cell]) -> None:
    print(f"\n{title}")
    names = " ".join(f"{name:>6}" for name in USUAL)
    print(f"{'':<24} {'leaking':>8} {'(bound)':>8} {'stable':>8}   said to leak by {names} {'Sen+ stable':>12}")
    for cell in cells:
        bound = upper_bound(cell.verdicts["leaking"], cell.runs)
        usual = " ".join(f"{cell.usual[name] / cell.usual_runs:>6.0%}" for name in USUAL)
        print(
            f"{cell.name:<24} {counted(cell, 'leaking'):>8} {bound:>8.2%} {cell.share('stable'):>8.0%}"
            f"   {'':<15} {usual} {cell.usual['Sen+ stable'] / cell.usual_runs:>12.0%}"
        )


def print_leaks(title: str, cells: Sequence[Cell], unit: str) -> None:
    print(f"\n{title}")
    for name, sizes in by_family(cells).items():
        smallest = {"judge": found(sizes, lambda cell: cell.share("leaking"))}
        for test in USUAL:
            smallest[test] = found(sizes, lambda cell, test=test: cell.usual[test] / cell.usual_runs)  # type: ignore[misc]
        told = ", ".join(f"{test} {size or 'none'}{unit if size else ''}" for test, size in smallest.items())
        print(f"{name}: found with 95 % power from: {told}")
        print("   " + "size    " + " ".join(f"{cell.name.split()[1]:>6}" for cell in sizes))
        print("   " + "leaking " + " ".join(f"{cell.share('leaking'):>6.0%}" for cell in sizes))
        print("   " + "stable  " + " ".join(f"{cell.share('stable'):>6.1%}" for cell in sizes))
        pooled = pool_sizes(name, sizes)
        bound = upper_bound(pooled.verdicts["stable"], pooled.runs)
        print(f"   stable in {counted(pooled, 'stable')} over all sizes: at most {bound:.2%}")
        print("   " + "Sen+ st." + " ".join(f"{cell.usual['Sen+ stable'] / cell.usual_runs:>6.1%}" for cell in sizes))


def by_family(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """The cells of the sizes of one family, by its name."""
    result: dict[str, list[Cell]] = {}
    for cell in cells:
        result.setdefault(cell.name.split()[0], []).append(cell)
    return result


def pool_sizes(name: str, sizes: Sequence[Cell]) -> Cell:
    verdicts = sum((cell.verdicts for cell in sizes), Counter[str]())
    return Cell(name, sum(cell.runs for cell in sizes), verdicts, 0, Counter())


def counted(cell: Cell, verdict: str) -> str:
    return f"{cell.verdicts[verdict]}/{cell.runs}"


def found(sizes: Sequence[Cell], power: Callable[[Cell], float]) -> str | None:
    """The smallest size from which on the power suffices."""
    smallest = None
    for cell in reversed(sizes):
        if power(cell) < POWER:
            break
        smallest = cell.name.split()[1]
    return smallest


def print_beside(healthy: Sequence[Cell], leaks: Sequence[Cell], runs: int) -> None:
    print(f"\nBeside a control ({runs} series each; alone in brackets)")
    for cell in (*healthy, *leaks):
        kind, wrong = ("healthy", "leaking") if cell in healthy else ("leaks  ", "stable")
        print(
            f"{kind} {cell.name:<26} leaking {cell.share('leaking'):>6.1%} ({cell.share('leaking alone'):.1%})"
            f"   stable {cell.share('stable'):>6.1%} ({cell.share('stable alone'):.1%})"
            f"   {wrong} {counted(cell, wrong)}: at most {upper_bound(cell.verdicts[wrong], cell.runs):.2%}"
        )


def worst(cells: Sequence[Cell], verdict: str) -> tuple[float, str]:
    """The largest bound on a share among the families, and the family and its count."""
    pooled = [pool_sizes(name, sizes) for name, sizes in by_family(cells).items()]
    return max(
        (upper_bound(cell.verdicts[verdict], cell.runs), f"{cell.name} {counted(cell, verdict)}") for cell in pooled
    )


def seconds_for_a_second_each() -> float:
    hours = np.arange(POINTS) / 3600
    _, values = families.mixture(seeded("speed", 0), hours)
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        judge_trend(hours, values, limit_per_day=leaking.LIMIT_PER_DAY)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
