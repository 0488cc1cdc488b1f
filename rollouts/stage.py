"""What to do in a stage, from what was seen in it. Pure: no clock, no router, no database."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from decision.objectives import Slo, Stage
from decision.rollout_spec import PlanMetric
from evidence.results import JudgedMetric
from rollouts.counters import Kept, errors_at_once, readings_in, requests_in
from rollouts.judge import EDITION, LATENCY_FLOOR_MS, overall
from rollouts.sample_ratio import ALPHA
from rollouts.traffic import Traffic, traffic_of
from rollouts.triggers import BY_CHANCE_AT_MOST, Broken, CanaryWindow, broken_limits, unmeasured, unmeasured_last

REQUESTS_AT_LEAST = 200
"""Canary requests that any stage needs, also one that states none."""

UNREAD_AT_MOST_S = 30.0
"""For so long the counters of both arms may be unreadable before that freezes the rollout."""

_BASELINE_REQUESTS = 100
_STABLE_BESIDE = 5
"""Of so few requests of stable nothing is said: the canary's limit stands."""


@dataclass(frozen=True)
class Seen:
    """All that was seen in a stage: requests, or readings of counters. ``windows`` are the canary's, oldest first.

    ``unread_s`` is for how long counters could not be read, and ``unread`` why; empty when the last tick read them.
    """

    requests: Kept
    windows: Sequence[CanaryWindow]
    failures_in_a_row: int
    elapsed_s: float
    silent_s: float
    traffic_alive: bool
    unread_s: float = 0.0
    unread: str = ""


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
    plan_metrics: Mapping[str, PlanMetric] | None = None,
    rejections_alone: float | None = None,
    edition: int = EDITION,
) -> Step:
    """Harm first, then anything that makes judging worthless, then promotion; else wait.

    A limit of errors or latency that stable nearly breaks at the same time, and a sick baseline, are no harm: they
    freeze, unless the judge shows that the canary is worse still.

    ``mismatch_alpha`` is the probability of freezing a router that splits as it should. ``alone`` are the limits by
    which a candidate without a stable arm beside it is promoted (None: those of ``slo``). Beyond them it is frozen and
    not rolled back: they come from another hour, and what changed may be the load. A resource that the plan limits
    and that so many as ``unmeasured_windows`` do not tell freezes a stage without harm (None: it is not asked for).
    ``plan_metrics`` are judged where counters were read. ``rejections_alone`` is the share of rejections that freezes a
    candidate without a stable arm beside it (None: they are not judged then). ``edition`` is that of the rules.
    """
    traffic = traffic_of(seen.requests, plan_metrics or {}, edition=edition)
    ill = _sick_baseline(traffic, slo)
    for broken in _broken(seen, slo, edition):
        if edition < 2 or stage.share == 1 or not _says_nothing(broken, traffic, sick=ill is not None):
            return Step("roll-back", broken.why)
        ill = ill or f"{broken.why}, and stable fares no better at the same time"
    if frozen := _worthless(seen, traffic, stage, silence_at_most_s, mismatch_alpha):
        return Step("freeze", frozen)
    if ill and edition < 2:
        return Step("freeze", ill)
    if stage.share < 1:
        metrics = traffic.judge(slo, harm_alpha=harm_alpha)
    else:
        metrics = traffic.judge_alone(slo, harm_alpha=harm_alpha)
    if overall(metrics) == "harm":
        return Step("roll-back", _harm(metrics), metrics)
    if ill:
        return Step("freeze", ill, metrics)
    if stage.share == 1 and alone is not None:
        metrics = traffic.judge_alone(alone, harm_alpha=harm_alpha, rejections_at_most=rejections_alone)
        if overall(metrics) == "harm":
            return Step("freeze", f"worse than stable was before it ({_harm(metrics)}): version or hour?", metrics)
    if unmeasured_windows is not None and (frozen := unmeasured(seen.windows, slo, unmeasured_windows)):
        return Step("freeze", frozen, metrics)
    missing = _missing(seen, traffic, stage, slo, metrics, minimum_s)
    if missing is None and edition >= 2 and stage.share < 1:
        missing = _slower(traffic, slo, max(stage.requests, REQUESTS_AT_LEAST))
    if missing is None and not metrics and edition >= 2:
        missing = "nothing can be judged: without a stable arm beside it, slo must limit error-rate or latency-p95"
    if missing is None and unmeasured_windows is not None and (resource := unmeasured_last(seen.windows, slo)):
        missing = f"{resource} was not measured in the last window"
    return Step("wait", missing, metrics) if missing else Step("promote", _shown(traffic, metrics), metrics)


def _broken(seen: Seen, slo: Slo, edition: int) -> Iterator[Broken]:
    latest, by_chance_at_most = requests_in(seen.requests), 1.0 if edition < 2 else BY_CHANCE_AT_MOST
    yield from broken_limits(seen.windows, latest, seen.failures_in_a_row, slo, by_chance_at_most=by_chance_at_most)
    objective = slo.get("error-rate")
    if objective and (why := errors_at_once(readings_in(seen.requests), objective)):
        yield Broken("error-rate", why, objective.at_least_requests)


def _says_nothing(broken: Broken, traffic: Traffic, *, sick: bool) -> bool:
    """Whether a broken limit says nothing of the candidate, because stable breaks it as well.

    That is: stable is sick, or fared at least half as badly in the time of the requests that broke the limit. Half,
    because the canary is looked at when it is unlucky.
    """
    if broken.name in ("memory", "cpu"):
        return False
    if sick and broken.name in ("error-rate", "availability", "consecutive-failures"):
        return True
    stable, canary = traffic.beside(broken.last)
    values = (stable.error_rate, canary.error_rate)
    if broken.name == "latency-p95":
        values = (stable.p95_ms, canary.p95_ms)
    elif broken.name == "latency-mean":
        values = (stable.mean_ms, canary.mean_ms)
    ours, theirs = values
    if stable.requests < _STABLE_BESIDE or ours is None or theirs is None:
        return False
    return ours >= max(theirs, broken.bad) / 2


def _worthless(
    seen: Seen, traffic: Traffic, stage: Stage, silence_at_most_s: float, mismatch_alpha: float
) -> str | None:
    if not seen.traffic_alive:
        return "the traffic has stopped"
    if seen.unread_s > UNREAD_AT_MOST_S:
        return f"the counters were not read for {seen.unread_s:.0f} s: {seen.unread}"
    if seen.silent_s > silence_at_most_s:
        return f"no request was seen for {seen.silent_s:.0f} s"
    return traffic.split_is_off(stage.share, mismatch_alpha)


def _sick_baseline(traffic: Traffic, slo: Slo) -> str | None:
    stable = traffic.counts("stable", last=_BASELINE_REQUESTS * 5)
    limit = slo["error-rate"].roll_back_above if "error-rate" in slo else None
    if limit is not None and stable.requests >= _BASELINE_REQUESTS:
        rate = stable.errors / stable.requests
        if rate > limit:
            return f"the baseline is sick: stable fails {rate:.1%} of its requests"
    return None


def _harm(metrics: Sequence[JudgedMetric]) -> str:
    metric = next(metric for metric in metrics if metric.verdict == "harm")
    against = "" if metric.baseline is None else f" against {metric.baseline:.4g} of stable"
    return f"harm shown: {metric.name} {metric.canary:.4g}{against}, after {metric.first_alarm_at} canary requests"


def _missing(
    seen: Seen, traffic: Traffic, stage: Stage, slo: Slo, metrics: Sequence[JudgedMetric], minimum_s: float
) -> str | None:
    """What is missing for a promotion, in words; None when nothing is."""
    if seen.unread:
        return f"the counters cannot be read: {seen.unread}"
    canary = traffic.counts("canary")
    needed = max(stage.requests, REQUESTS_AT_LEAST)
    if canary.requests < needed:
        return f"{canary.requests} of {needed} canary requests"
    if seen.elapsed_s < minimum_s:
        return f"{seen.elapsed_s:.0f} of {minimum_s:.0f} s"
    # The last ones: a version that turned bad late must not live on its past.
    last = traffic.counts("canary", last=needed)
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


def _slower(traffic: Traffic, slo: Slo, last: int) -> str | None:
    """That the canary's last requests are slower than stable's of that time by more than the plan allows.

    The judge compares shares of slow requests to within five percentage points; P95 itself is in the plan's words.
    """
    stable, canary = (counts.p95_ms for counts in traffic.beside(last))
    allowed = slo["latency-p95"].worse_than_stable_by if "latency-p95" in slo else None
    if allowed is None or stable is None or canary is None:
        return None
    at_most = stable + max(LATENCY_FLOOR_MS, allowed.allowance(stable))
    return f"latency-p95 is {canary:.4g} beside {stable:.4g} of stable" if canary > at_most else None


def _shown(traffic: Traffic, metrics: Sequence[JudgedMetric]) -> str:
    canary = traffic.counts("canary")
    against = "not worse than stable" if metrics and metrics[0].baseline is not None else "within the plan's limits"
    return f"{canary.requests} canary requests, {canary.errors} errors: {against}"
