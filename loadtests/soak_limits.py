"""When a soak ends before its time: a hard limit is broken, or the target would not live. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from decision.objectives import Objective, Slo
from loadtests.samples import Sample

FRUITLESS_AT_MOST = 3
"""So many segments in a row without load, or starts of the target without a window, and the soak gives up."""

DEATHS_AN_HOUR_AT_MOST = 5
"""Of the target, and of the load generator."""


def broken_resource(samples: Sequence[Sample], slo: Slo, memory_limit_bytes: float) -> str | None:
    """Which limit of memory or CPU the latest samples (oldest first) break, in words; None: go on.

    Each sample stands for one window. Memory is a share of the target's limit, CPU is the cores in use since the last.
    """
    memory = [None if s.target is None else s.target.rss_bytes / memory_limit_bytes for s in samples]
    cpu = [None, *(_cores(before, after) for before, after in pairwise(samples))]
    return _above("memory", memory, slo.get("memory")) or _above("cpu", cpu, slo.get("cpu"))


def _cores(before: Sample, after: Sample) -> float | None:
    if before.target is None or after.target is None or before.target.created_at_s != after.target.created_at_s:
        return None
    seconds = after.at_s - before.at_s
    return (after.target.cpu_s - before.target.cpu_s) / seconds if seconds > 0 else None


def _above(name: str, values: Sequence[float | None], objective: Objective | None) -> str | None:
    if objective is None or objective.roll_back_above is None:
        return None
    latest = values[-objective.windows :]
    if len(latest) < objective.windows or any(v is None or v <= objective.roll_back_above for v in latest):
        return None
    return (
        f"{name} was {latest[-1]:.4g} and above its limit {objective.roll_back_above:g} for {objective.windows} samples"
    )


def crash_loop(deaths_at_s: Sequence[float], deaths_without_load: int) -> str | None:
    """Why the target counts as one that would not live, in words; None: it may be started again.

    ``deaths_without_load``: how often in a row it ended before anything was under load.
    """
    if deaths_without_load >= FRUITLESS_AT_MOST:
        return f"the target ended {deaths_without_load} times in a row before anything was under load"
    count = _within_an_hour(deaths_at_s)
    return f"the target ended {count} times within an hour" if count > DEATHS_AN_HOUR_AT_MOST else None


def wears_out(ends_at_s: Sequence[float]) -> str | None:
    """Why it makes no sense to start the load generator once more, in words; None: it does.

    ``ends_at_s``: when it ended early, or had to be ended, oldest first.
    """
    count = _within_an_hour(ends_at_s)
    return f"the load generator ended early {count} times within an hour" if count > DEATHS_AN_HOUR_AT_MOST else None


def _within_an_hour(times_s: Sequence[float]) -> int:
    return sum(at_s > times_s[-1] - 3600 for at_s in times_s)
