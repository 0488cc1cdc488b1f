"""Hard limits: what rolls a canary back at once, whatever the statistics say.

A window that saw too little says nothing: it neither counts for "three windows" nor interrupts them. A window of
requests must be large enough that one bad request alone cannot exceed the limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from decision.objectives import Objective, ObjectiveName, Slo

WINDOW_S = 10.0
_LEAST_FOR_P95 = 20
"""With fewer requests one slow request is the P95."""


@dataclass(frozen=True)
class RequestWindow:
    """What the canary answered in one window. ``unavailable``: no answer, or 502, 503, 504."""

    requests: int
    errors: int
    unavailable: int
    p95_ms: float | None


@dataclass(frozen=True)
class ResourceWindow:
    """What the canary's process used in one window: shares of its memory limit and of one core; None: unknown."""

    memory_ratio: float | None
    cpu_ratio: float | None


@dataclass(frozen=True)
class Trigger:
    """A hard limit that was broken."""

    objective: ObjectiveName
    why: str


def requests_needed(slo: Slo) -> int:
    """The smallest number of requests with which a window says something about every objective of requests."""
    needed = [_LEAST_FOR_P95]
    if (rate := slo.get("error-rate")) and rate.roll_back_above:
        needed.append(ceil(1 / rate.roll_back_above))
    if (availability := slo.get("availability")) and (availability.roll_back_below or 1) < 1:
        needed.append(ceil(1 / (1 - (availability.roll_back_below or 0))))
    return max(needed)


def broken_limits(
    slo: Slo,
    *,
    request_windows: Sequence[RequestWindow],
    open_window: RequestWindow,
    resource_windows: Sequence[ResourceWindow],
    consecutive_failures: int,
) -> list[Trigger]:
    """The limits that are broken now, over closed windows (oldest first) and the one that is still open."""
    found = [
        _sustained("error-rate", slo, [_error_rate(window) for window in request_windows], "error rate {:.2%}"),
        _sustained("latency-p95", slo, [_p95(window) for window in request_windows], "P95 {:.0f} ms"),
        _sustained("availability", slo, [_availability(window) for window in request_windows], "availability {:.2%}"),
        _sustained("memory", slo, [window.memory_ratio for window in resource_windows], "memory {:.0%} of its limit"),
        _sustained("cpu", slo, [window.cpu_ratio for window in resource_windows], "CPU {:.0%} of a core"),
        _at_once(slo.get("error-rate"), [*request_windows[-1:], open_window]),
        _sustained("consecutive-failures", slo, [float(consecutive_failures)], "{:.0f} failures in a row"),
    ]
    return [trigger for trigger in found if trigger]


def _sustained(name: ObjectiveName, slo: Slo, values: Sequence[float | None], text: str) -> Trigger | None:
    objective = slo.get(name)
    if objective is None:
        return None
    latest = [value for value in values if value is not None][-objective.windows :]
    if len(latest) < objective.windows:
        return None
    above, below = objective.roll_back_above, objective.roll_back_below
    times = f" in {objective.windows} windows" if objective.windows > 1 else ""
    if above is not None and all(value > above for value in latest):
        return Trigger(name, f"{text.format(latest[-1])}, limit {_limit(objective, above)}{times}")
    if below is not None and all(value < below for value in latest):
        return Trigger(name, f"{text.format(latest[-1])}, at least {_limit(objective, below)} required{times}")
    return None


def _at_once(objective: Objective | None, windows: Sequence[RequestWindow]) -> Trigger | None:
    if objective is None or objective.roll_back_at_once_above is None:
        return None
    limit = objective.roll_back_at_once_above
    for window in windows:
        rate = _error_rate(window)
        if rate is not None and window.requests >= objective.at_least_requests and rate > limit:
            text = f"error rate {rate:.2%} of {window.requests} requests, limit {_limit(objective, limit)} at once"
            return Trigger("error-rate", text)
    return None


def _limit(objective: Objective, value: float) -> str:
    return {"ratio": f"{value:.2%}", "ms": f"{value:.0f} ms", "count": f"{value:.0f}"}[objective.unit]


def _error_rate(window: RequestWindow) -> float | None:
    return window.errors / window.requests if window.requests else None


def _availability(window: RequestWindow) -> float | None:
    return 1 - window.unavailable / window.requests if window.requests else None


def _p95(window: RequestWindow) -> float | None:
    return window.p95_ms if window.requests >= _LEAST_FOR_P95 else None
