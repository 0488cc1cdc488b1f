"""What to do in a stage, from what was seen in it. Pure: no clock, no router, no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from decision.objectives import Slo, Stage
from evidence.results import ArmCounts, JudgedMetric
from rollouts.judge import Requests, judge, judge_alone, overall
from rollouts.sample_ratio import ALPHA, mismatch_p_value
from rollouts.samples import Arm, RequestSample
from rollouts.triggers import CanaryWindow, triggered, unmeasured, unmeasured_last

REQUESTS_AT_LEAST = 200
"""Canary requests that any stage needs, also one that states none."""

_BASELINE_REQUESTS = 100


@dataclass(frozen=True)
class Seen:
    """All that was seen in a stage. ``windows`` are those of the canary, oldest first."""

    requests: Sequence[RequestSample]
    windows: Sequence[CanaryWindow]
    failures_in_a_row: int
    elapsed_s: float
    silent_s: float
    traffic_alive: bool


@dataclass(frozen=True)
class Step:
    """What to do, why, and the judge's metrics that it rests on (empty when it rests on none)."""

    action: Literal["wait", "promote", "roll-back", "freeze"]
    why: str
    metrics: tuple[JudgedMetric, ...] = ()


def next_step(
    seen: Seen,
    stage: Stage,
    slo: Slo,
    *,
    minimum_s: float,
    harm_alpha: float,
    silence_at_most_s: float,
    mismatch_alpha: float = ALPHA,
    alone: Slo | None = None,
    unmeasured_windows: int | None = None,
) -> Step:
    """Harm first, then anything that makes judging worthless, then promotion; else wait.

    ``mismatch_alpha`` is the probability of freezing a router that splits as it should. ``alone`` are the limits by
    which a candidate without a stable arm beside it is promoted (None: those of ``slo``). Beyond them it is frozen and
    not rolled back: they come from another hour, and what changed may be the load. A resource that the plan limits
    and that so many as ``unmeasured_windows`` do not tell freezes a stage without harm (None: it is not asked for).
    """
    if broken := triggered(seen.windows, seen.requests, seen.failures_in_a_row, slo):
        return Step("roll-back", broken)
    if frozen := _worthless(seen, stage, slo, silence_at_most_s, mismatch_alpha):
        return Step("freeze", frozen)
    requests = Requests.of(seen.requests)
    if stage.share < 1:
        metrics = judge(requests, slo, harm_alpha=harm_alpha)
    else:
        metrics = judge_alone(requests, slo, harm_alpha=harm_alpha)
    if overall(metrics) == "harm":
        return Step("roll-back", _harm(metrics), metrics)
    if stage.share == 1 and alone is not None:
        metrics = judge_alone(requests, alone, harm_alpha=harm_alpha)
        if overall(metrics) == "harm":
            return Step("freeze", f"worse than stable was before it ({_harm(metrics)}): version or hour?", metrics)
    if unmeasured_windows is not None and (frozen := unmeasured(seen.windows, slo, unmeasured_windows)):
        return Step("freeze", frozen, metrics)
    missing = _missing(seen, stage, slo, metrics, minimum_s)
    if missing is None and unmeasured_windows is not None and (resource := unmeasured_last(seen.windows, slo)):
        missing = f"{resource} was not measured in the last window"
    return Step("wait", missing, metrics) if missing else Step("promote", _shown(seen, metrics), metrics)


def _worthless(seen: Seen, stage: Stage, slo: Slo, silence_at_most_s: float, mismatch_alpha: float) -> str | None:
    if not seen.traffic_alive:
        return "the traffic has stopped"
    if seen.silent_s > silence_at_most_s:
        return f"no request was seen for {seen.silent_s:.0f} s"
    if off := _split_is_off(seen.requests, stage.share, mismatch_alpha):
        return off
    stable = [request for request in seen.requests if request.backend == "stable"][-_BASELINE_REQUESTS * 5 :]
    limit = slo["error-rate"].roll_back_above if "error-rate" in slo else None
    if limit is not None and len(stable) >= _BASELINE_REQUESTS:
        rate = sum(request.is_error for request in stable) / len(stable)
        if rate > limit:
            return f"the baseline is sick: stable fails {rate:.1%} of its requests"
    return None


def _split_is_off(requests: Sequence[RequestSample], share: float, alpha: float) -> str | None:
    assigned: dict[str, Arm] = {}
    for request in requests:
        if assigned.setdefault(request.user_hash, request.assigned) != request.assigned:
            return f"user {request.user_hash} was assigned to both versions within one stage"
    exposed = sum(arm == "canary" for arm in assigned.values())
    if mismatch_p_value(exposed, len(assigned), share) >= alpha:
        return None
    return f"{exposed} of {len(assigned)} users were assigned to the canary, expected {share:.1%}"


def _harm(metrics: Sequence[JudgedMetric]) -> str:
    metric = next(metric for metric in metrics if metric.verdict == "harm")
    against = "" if metric.baseline is None else f" against {metric.baseline:.4g} of stable"
    return f"harm shown: {metric.name} {metric.canary:.4g}{against}, after {metric.first_alarm_at} canary requests"


def _missing(seen: Seen, stage: Stage, slo: Slo, metrics: Sequence[JudgedMetric], minimum_s: float) -> str | None:
    """What is missing for a promotion, in words; None when nothing is."""
    canary = counts_of(seen.requests, "canary")
    needed = max(stage.requests, REQUESTS_AT_LEAST)
    if canary.requests < needed:
        return f"{canary.requests} of {needed} canary requests"
    if seen.elapsed_s < minimum_s:
        return f"{seen.elapsed_s:.0f} of {minimum_s:.0f} s"
    # The last ones: a version that turned bad late must not live on its past.
    last = counts_of([r for r in seen.requests if r.backend == "canary"][-needed:], "canary")
    for name, value in (("error-rate", last.error_rate), ("latency-p95", last.p95_ms)):
        objective = slo.get(name)  # type: ignore[call-overload]
        limit = objective.promote_at_most if objective else None
        if limit is not None and (value is None or value > limit):
            return f"{name} is {value}, at most {limit:g} may be promoted"
    for metric in metrics:
        if metric.verdict != "non-inferior":
            more = "more than can be told" if metric.needs_requests is None else f"about {metric.needs_requests} more"
            return f"{metric.name} is not shown to be within its margin ({more} canary requests)"
    return None


def _shown(seen: Seen, metrics: Sequence[JudgedMetric]) -> str:
    canary = counts_of(seen.requests, "canary")
    against = "not worse than stable" if metrics and metrics[0].baseline is not None else "within the plan's limits"
    return f"{canary.requests} canary requests, {canary.errors} errors: {against}"


def counts_of(requests: Sequence[RequestSample], arm: Arm) -> ArmCounts:
    """What one arm served."""
    mine = [request for request in requests if request.backend == arm]
    latencies_ms = np.array([request.latency_ms for request in mine])
    errors = sum(request.is_error for request in mine)
    return ArmCounts(
        requests=len(mine),
        errors=errors,
        error_rate=errors / len(mine) if mine else None,
        mean_ms=round(float(latencies_ms.mean()), 3) if mine else None,
        p95_ms=round(float(np.percentile(latencies_ms, 95)), 3) if mine else None,
    )
