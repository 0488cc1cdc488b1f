"""How often the A/B analysis and the judge of recorded series are wrong, by simulation: ``python -m
benchmarks.error_rates``.

Claimed: equal arms are called different in at most 5 % of tests, what is worse by just its margin is called
non-inferior in at most 2.5 %, a test of the planned size finds the planned effect in 80 %, and equal series are called
harmful in at most 1 %; each within three standard deviations of the simulation. How often a series that is worse by
just its margin is passed is printed and not claimed: means of skewed numbers are not normal in small samples. All
seeds are fixed.
"""

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from decision.ab_metrics import AbAnalysis, AbMetric
from decision.quantities import Margin
from rollouts.ab_analysis import analyse
from rollouts.ab_estimates import Rates
from rollouts.ab_size import planned_size
from rollouts.ab_units import MetricValues, Units
from rollouts.recorded_values import Series, judge_values

CLAIM_DOES_NOT_HOLD = 3
RUNS = 5000
SERIES_RUNS = 2000
TENTH = Margin(absolute=None, relative=0.1)

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

SERIES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(10, 1, n),
    "lognormal": lambda rng, n: rng.lognormal(0, 1, n),
    "poisson 0.2": lambda rng, n: rng.poisson(0.2, n).astype(float),
}
SIZES = ((5, 5), (10, 10), (30, 30), (60, 20), (200, 200))


def main(arguments: list[str]) -> int:
    """Simulate and print; the number of runs may be given."""
    runs = int(arguments[0]) if arguments else RUNS
    holds = [_equal_arms(runs), _at_the_margin(runs), _planned_power(runs)]
    holds += [_series(name, *sizes, max(1, SERIES_RUNS * runs // RUNS)) for name in SERIES for sizes in SIZES]
    print("the claims hold" if all(holds) else "a claim does not hold")
    return 0 if all(holds) else CLAIM_DOES_NOT_HOLD


def _equal_arms(runs: int) -> bool:
    metrics = {
        "used": AbMetric(type="proportion"),
        "time": AbMetric(type="mean", covariate="before"),
        "rate": AbMetric(type="ratio"),
    }
    rng, treated, different = np.random.default_rng(1), np.arange(400) % 2 == 1, 0
    for _ in range(runs):
        activity = rng.gamma(2.0, size=400)
        values = {
            "used": MetricValues((rng.random(400) < 0.3).astype(float)),
            "time": MetricValues(activity + rng.gamma(1.0, size=400), None, activity),
            "rate": MetricValues(
                rng.poisson(2 * activity).astype(float), (1 + rng.poisson(5 * activity)).astype(float)
            ),
        }
        result = analyse(Units(rng.permutation(treated), values), metrics, AbAnalysis())
        different += any(metric.verdict in ("better", "worse") for metric in result.metrics)
    return _print("equal arms, three metrics, Holm: any called different", different, runs, at_most=0.05)


def _at_the_margin(runs: int) -> bool:
    metrics = {
        "proportion": AbMetric(type="proportion", role="guardrail", direction="decrease", margin="5pp"),
        "mean, relative margin": AbMetric(type="mean", role="guardrail", direction="decrease", margin="10%"),
    }
    rng, treated = np.random.default_rng(2), np.arange(600) % 2 == 1
    passed = dict.fromkeys(metrics, 0)
    for _ in range(runs):
        values = {
            "proportion": MetricValues((rng.random(600) < np.where(treated, 0.25, 0.2)).astype(float)),
            "mean, relative margin": MetricValues(rng.normal(np.where(treated, 11, 10), 3)),
        }
        for metric in analyse(Units(treated, values), metrics, AbAnalysis()).metrics:
            passed[metric.name] += metric.verdict == "non-inferior"
    held = [
        _print(f"worse by just its margin, {name}: called non-inferior", count, runs, at_most=0.025)
        for name, count in passed.items()
    ]
    return all(held)


def _planned_power(runs: int) -> bool:
    metric = AbMetric(type="proportion", baseline="42%", expected="48%")
    size = planned_size({"accuracy": metric}, AbAnalysis(), 0.5)
    if size is None:
        return False
    rng, n = np.random.default_rng(3), size.control
    found = sum(
        Rates(int(rng.binomial(n, 0.42)), n, int(rng.binomial(n, 0.48)), n).p_two_sided() <= 0.05 for _ in range(runs)
    )
    return _print(f"42 % to 48 % with {n:,} units a group: found", found, runs, at_least=0.8)


def _series(name: str, stable: int, canary: int, runs: int) -> bool:
    rng, draw, harm, passed = np.random.default_rng(stable + canary), SERIES[name], 0, 0
    for _ in range(runs):
        equal = judge_values("x", Series(draw(rng, stable)), Series(draw(rng, canary)), "either", TENTH)
        harm += equal.verdict == "harm"
        worse = judge_values("x", Series(draw(rng, stable)), Series(1.1 * draw(rng, canary)), "increase", TENTH)
        passed += worse.verdict == "non-inferior"
    holds = _print(f"equal series, {name}, {stable} and {canary} numbers: called harm", harm, runs, at_most=0.01)
    print(f"  {passed / runs:7.2%}  of them passed when worse by just the margin")
    return holds


def _print(what: str, count: int, runs: int, *, at_most: float = 1.0, at_least: float = 0.0) -> bool:
    most, least = (
        limit + side * 3 * (limit * (1 - limit) / runs) ** 0.5 for limit, side in ((at_most, 1), (at_least, -1))
    )
    holds = bool(least <= count / runs <= most)
    print(f"{count / runs:7.2%}  {what} ({runs:,} runs){'' if holds else '  MORE THAN CLAIMED'}")
    return holds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
