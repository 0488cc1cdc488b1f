"""The plan's hard limits: they act at once, or after so many windows in a row, whatever the judge has seen so far.

A window with too few requests to tell says nothing: neither bad nor good. What the plan limits and nobody can measure
is another matter: after some patience it makes judging worthless.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Literal, get_args

import numpy as np

from decision.objectives import Objective, ObjectiveName, Slo
from rollouts.samples import RequestSample

Resource = Literal["memory", "cpu"]

UNMEASURED_WINDOWS = 3
"""A resource may be unmeasured in fewer windows than this among the last twice as many."""

_REQUESTS_FOR_LATENCY = 20
_RESOURCES: tuple[Resource, ...] = get_args(Resource)


@dataclass(frozen=True)
class Broken:
    """A limit that is broken: which, in words, and by how many of the canary's last requests.

    ``bad`` is by what, as a window told it: a share of failures, or milliseconds.
    """

    name: ObjectiveName
    why: str
    last: int
    bad: float = 0.0


@dataclass(frozen=True)
class CanaryWindow:
    """What one window of time showed of the canary. What was not measured is None."""

    requests: int
    errors: int
    unavailable: int
    p95_ms: float | None
    memory: float | None = None
    cpu: float | None = None
    mean_ms: float | None = None


def window_of(
    requests: Sequence[RequestSample], *, memory: float | None = None, cpu: float | None = None
) -> CanaryWindow:
    """The window of the canary's requests among ``requests``."""
    canary = [request for request in requests if request.backend == "canary"]
    latencies_ms = np.array([request.latency_ms for request in canary])
    return CanaryWindow(
        requests=len(canary),
        errors=sum(r.is_error for r in canary),
        unavailable=sum(r.is_unavailable for r in canary),
        p95_ms=float(np.percentile(latencies_ms, 95)) if canary else None,
        memory=memory,
        cpu=cpu,
        mean_ms=float(latencies_ms.mean()) if canary else None,
    )


def broken_limits(
    windows: Sequence[CanaryWindow], latest: Sequence[RequestSample], failures_in_a_row: int, slo: Slo
) -> Iterator[Broken]:
    """The limits that are broken by the windows so far (oldest first).

    ``latest`` are all requests so far: limits that act at once look at the last ones, whatever window they are in.
    """
    run = slo.get("consecutive-failures")
    if run and run.roll_back_above is not None and failures_in_a_row > run.roll_back_above:
        why = f"{failures_in_a_row} canary requests in a row failed, the limit is {run.roll_back_above:g}"
        yield Broken("consecutive-failures", why, failures_in_a_row)
    yield from _at_once(latest, slo.get("error-rate"))
    for name, objective in slo.items():
        if objective.roll_back_above is None and objective.roll_back_below is None:
            continue
        last = windows[-objective.windows :]
        values = [_value(name, window, objective.roll_back_above) for window in last]
        told = [value for value in values if value is not None]
        if len(told) == objective.windows and all(
            _broken(value, objective.roll_back_above, objective.roll_back_below) for value in told
        ):
            why = f"{name} was {told[-1]:.4g} and beyond its limit for {objective.windows} windows"
            bad = 1 - told[-1] if name == "availability" else told[-1]
            yield Broken(name, why, sum(window.requests for window in last), bad)


def limited_resources(slo: Slo) -> list[Resource]:
    """The resources that the plan limits."""
    limits = ((name, slo.get(name)) for name in _RESOURCES)
    return [name for name, o in limits if o and (o.roll_back_above is not None or o.roll_back_below is not None)]


def unmeasured(windows: Sequence[CanaryWindow], slo: Slo, patience: int) -> str | None:
    """Which limited resource lacks in ``patience`` of the last twice as many windows, in words; None for none.

    They need not follow each other: a source that fails every other time would keep a limit of two windows in a row
    from ever acting.
    """
    last = windows[-2 * patience :]
    for name in limited_resources(slo):
        lacking = sum(_value(name, window, None) is None for window in last)
        if lacking >= patience:
            return f"{name} was not measured in {lacking} of the last {len(last)} windows, and the plan limits it"
    return None


def unmeasured_last(windows: Sequence[CanaryWindow], slo: Slo) -> Resource | None:
    """A limited resource that the last window does not tell, also because there is no window yet."""
    limited = limited_resources(slo)
    return next((name for name in limited if not windows or _value(name, windows[-1], None) is None), None)


def _at_once(latest: Sequence[RequestSample], objective: Objective | None) -> Iterator[Broken]:
    if objective is None or objective.roll_back_at_once_above is None:
        return
    needed = max(objective.at_least_requests, 1)
    last = list(islice((r.is_error for r in reversed(latest) if r.backend == "canary"), needed))
    if len(last) == needed and sum(last) / needed > objective.roll_back_at_once_above:
        why = f"error-rate is {sum(last) / needed:.1%} in the last {needed} canary requests"
        yield Broken("error-rate", why, needed)


def failures_in_a_row(requests: Iterable[RequestSample], so_far: int = 0) -> int:
    """How many of the last canary requests failed without a success in between."""
    for request in requests:
        if request.backend == "canary":
            so_far = so_far + 1 if request.is_error else 0
    return so_far


def _broken(value: float, above: float | None, below: float | None) -> bool:
    return (above is not None and value > above) or (below is not None and value < below)


def _value(name: ObjectiveName, window: CanaryWindow, limit: float | None) -> float | None:
    """A window's value of an objective; None when the window cannot tell."""
    match name:
        case "error-rate":
            # With fewer requests a single error would be above the limit.
            enough = limit is not None and limit > 0 and window.requests >= 1 / limit
            return window.errors / window.requests if enough else None
        case "latency-p95":
            return window.p95_ms if window.requests >= _REQUESTS_FOR_LATENCY else None
        case "availability":
            return 1 - window.unavailable / window.requests if window.requests >= 1 / 0.01 else None
        case "memory":
            return _number(window.memory)
        case "cpu":
            return _number(window.cpu)
        case "latency-mean":
            return window.mean_ms if window.requests >= _REQUESTS_FOR_LATENCY else None
        case "consecutive-failures":
            return None


def _number(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
