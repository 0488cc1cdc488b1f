"""When a load is broken off: the plan's hard limits, held against its windows."""

from collections.abc import Sequence

from decision.objectives import Slo
from loadtests.windows import Window, sum_windows


def broken_limit(windows: Sequence[Window], slo: Slo) -> str | None:
    """Which limit the windows so far (oldest first) break, in words; None: go on."""
    silent = slo["availability"].windows if "availability" in slo else 3
    last = windows[-silent:]
    if len(last) == silent and all(w.offered and not w.completed for w in last):
        return f"nothing was completed in {silent} windows"
    errors, latency = slo.get("error-rate"), slo.get("latency-p95")
    if errors is not None and errors.roll_back_at_once_above is not None and windows:
        newest = windows[-1]
        enough = newest.completed >= max(errors.at_least_requests, 1)
        if enough and newest.errors / newest.completed > errors.roll_back_at_once_above:
            return f"error-rate is {newest.errors / newest.completed:.1%} in one window"
    if errors is not None and errors.roll_back_above is not None:
        rates = [w.errors / w.completed if w.completed else None for w in windows[-errors.windows :]]
        if len(rates) == errors.windows and all(r is not None and r > errors.roll_back_above for r in rates):
            return f"error-rate was above {errors.roll_back_above:.4g} for {errors.windows} windows"
    if latency is not None and latency.roll_back_above is not None:
        p95s = [sum_windows([w]).latency.p95_ms for w in windows[-latency.windows :]]
        if len(p95s) == latency.windows and all(p is not None and p > latency.roll_back_above for p in p95s):
            return f"latency-p95 was above {latency.roll_back_above:g} ms for {latency.windows} windows"
    return None
