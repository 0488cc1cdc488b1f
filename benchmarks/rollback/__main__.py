"""Runs the benchmark; see the package for what it claims."""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

import numpy as np

from benchmarks.rollback.site import (
    CANDIDATE_FAILS,
    KINDS,
    LIMIT,
    LIMIT_REQUESTS,
    RATE_PER_S,
    STABLE_FAILS,
    TICKS_S,
    Kind,
    Taken,
    authorized_release,
    site,
)
from rollouts.haproxy_router import find_haproxy

MOST_S = {0.05: 45.0, 0.5: 10.0}
MOST_AFTER_DECISION_S = 0.5
STAGE_REQUESTS = 1000
CLAIM_DOES_NOT_HOLD = 3
_SIMULATED = 10_000

Rollouts = dict[Kind, list[Taken | None]]


def main(arguments: list[str]) -> int:
    """Measure, print, and return 0 when all claims hold, otherwise 3."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollback")
    parser.add_argument("--sites", type=int, default=3, help="that run side by side, each with seeds of its own")
    parser.add_argument("--rollouts", type=int, default=3, help="of each kind on each site")
    parsed = parser.parse_args(arguments)
    if find_haproxy() is None:
        print("HAProxy is not installed")
        return CLAIM_DOES_NOT_HOLD
    rollouts = measure(parsed.sites, parsed.rollouts)
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    print(
        f"{parsed.sites} sites side by side, {RATE_PER_S} requests a second each; stable fails {STABLE_FAILS:.0%}, the "
        f"candidate {CANDIDATE_FAILS:.0%}; load average of the machine {load}\n"
    )
    for kind in KINDS:
        print_kind(kind, rollouts[kind])
    print_false_alarms()
    holds = [claim(kind, rollouts[kind]) for kind in KINDS if kind.objectives]
    holds.append(claim_after_decision(rollouts))
    return 0 if all(holds) else CLAIM_DOES_NOT_HOLD


def measure(sites: int, rollouts: int) -> Rollouts:
    """All rollouts of all sites, of each kind."""

    def on_site(seed: int) -> Rollouts:
        with site(folder / f"site-{seed}", authorized, seed) as here:
            return {kind: [here.roll_out(kind) for _ in range(rollouts)] for kind in KINDS}

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name, ThreadPoolExecutor(sites) as threads:  # a real disk
        folder = Path(name)
        authorized = authorized_release(folder / "authorized")
        of_sites = list(threads.map(on_site, range(sites)))
    return {kind: [taken for of_site in of_sites for taken in of_site[kind]] for kind in KINDS}


def print_kind(kind: Kind, rollouts: Sequence[Taken | None]) -> None:
    """Median, first and last of what was measured of one kind."""
    found = [taken for taken in rollouts if taken is not None]
    by = "a plan with objectives" if kind.objectives else "the judge alone"
    print(f"{kind.share:.0%} share, {by}: {len(found)} of {len(rollouts)} taken back within {TICKS_S} s")
    if not found:
        return
    lines: list[tuple[str, Callable[[Taken], float], str]] = [
        ("first canary request to the decision", lambda t: t.decided_s, "s"),
        ("first canary request to the last one", lambda t: t.gone_s, "s"),
        ("decision to the last canary request", lambda t: 1000 * max(0.0, t.decision_to_gone_s), "ms"),
        ("decision to the router's confirmation", lambda t: t.result.harm_to_stable_ms or inf, "ms"),
        ("canary requests", lambda t: t.result.canary_requests, ""),
        ("  of which harmed", lambda t: t.result.canary_errors, ""),
        ("users exposed", lambda t: t.result.users_exposed or 0, ""),
    ]
    for what, of, unit in lines:
        values = sorted(of(taken) for taken in found)
        print(f"   {what:<38} median {statistics.median(values):7.1f} {unit:<2}  ({values[0]:.1f} to {values[-1]:.1f})")
    for why in sorted(
        {taken.result.why.split(" (")[0].split(" is ")[0].split(" was ")[0].split(" 0.")[0] for taken in found}
    ):
        print(f"   because: {why}")


def print_false_alarms() -> None:
    """How often the plan's limit, which is no test, takes an equal canary back: beside its speed."""
    random = np.random.default_rng(1)
    broken = 0
    for _ in range(_SIMULATED):
        errors = np.concatenate([[0], np.cumsum(random.random(STAGE_REQUESTS) < STABLE_FAILS)])
        broken += bool((errors[LIMIT_REQUESTS:] - errors[:-LIMIT_REQUESTS] > LIMIT * LIMIT_REQUESTS).any())
    print(
        f"\nAn equal canary, which fails {STABLE_FAILS:.0%}, breaks the limit of {LIMIT:.0%} of {LIMIT_REQUESTS} "
        f"requests within {STAGE_REQUESTS} requests in {broken / _SIMULATED:.1%} of {_SIMULATED:,} simulated stages; "
        "the judge alone may do so in at most 1 % of whole rollouts"
    )


def claim(kind: Kind, rollouts: Sequence[Taken | None]) -> bool:
    median = statistics.median(inf if taken is None else max(taken.gone_s, taken.decided_s) for taken in rollouts)
    most = MOST_S[kind.share]
    return tell(
        median < most, f"{kind.share:.0%}: harm is shown and gone after {median:.1f} s (median), below {most:g} s"
    )


def claim_after_decision(rollouts: Rollouts) -> bool:
    after = [taken.decision_to_gone_s for several in rollouts.values() for taken in several if taken is not None]
    median = statistics.median(after) if after else inf
    return tell(
        median < MOST_AFTER_DECISION_S,
        f"the last canary request began {1000 * max(median, 0.0):.0f} ms after the decision (median of {len(after)}; "
        f"at most {1000 * max(after, default=inf):.0f} ms)",
    )


def tell(holds: bool, what: str) -> bool:
    print(f"{'holds' if holds else 'DOES NOT HOLD'}: {what}")
    return holds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
