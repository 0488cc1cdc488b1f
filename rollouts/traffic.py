"""What was seen of both arms, whether request by request or by counters: what the rules of a stage ask of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Protocol

import numpy as np

from decision.objectives import Slo
from decision.rollout_spec import PlanMetric
from evidence.results import ArmCounts, JudgedMetric
from rollouts.counters import (
    Kept,
    Reading,
    counts_of_readings,
    judge_counters,
    judge_counters_alone,
    readings_in,
    readings_of_last,
    requests_in,
)
from rollouts.judge import EDITION, Requests, judge, judge_alone
from rollouts.sample_ratio import mismatch_p_value
from rollouts.samples import Arm, RequestSample


class Traffic(Protocol):
    """``last`` means: of the last so many requests of the arm."""

    def judge(self, slo: Slo, *, harm_alpha: float, intervals: bool = False) -> tuple[JudgedMetric, ...]:
        """The canary beside stable."""

    def judge_alone(
        self, slo: Slo, *, harm_alpha: float, rejections_at_most: float | None = None
    ) -> tuple[JudgedMetric, ...]:
        """The canary without a stable arm beside it."""

    def beside(self, last: int) -> tuple[ArmCounts, ArmCounts]:
        """What stable and the canary served while the canary served its last so many requests."""

    def counts(self, arm: Arm, last: int | None = None) -> ArmCounts:
        """What an arm served."""

    def split_is_off(self, share: float, alpha: float, /) -> str | None:
        """How users were split otherwise than told, in words; None when they were not, or nobody can tell."""


@dataclass(frozen=True)
class Logged:
    """Requests, one by one. See ``Traffic``."""

    requests: Sequence[RequestSample]
    edition: int = EDITION

    def judge(self, slo: Slo, *, harm_alpha: float, intervals: bool = False) -> tuple[JudgedMetric, ...]:
        """See ``Traffic``."""
        return judge(self._arrays(), slo, harm_alpha=harm_alpha, intervals=intervals)

    def judge_alone(
        self, slo: Slo, *, harm_alpha: float, rejections_at_most: float | None = None
    ) -> tuple[JudgedMetric, ...]:
        """See ``Traffic``."""
        return judge_alone(self._arrays(), slo, harm_alpha=harm_alpha, rejections_at_most=rejections_at_most)

    def beside(self, last: int) -> tuple[ArmCounts, ArmCounts]:
        """See ``Traffic``."""
        since_s = min((r.at_s for r in islice(_canary_backwards(self.requests), last)), default=inf)
        at_that_time = [request for request in self.requests if request.at_s >= since_s]
        return counts_of(at_that_time, "stable"), counts_of(at_that_time, "canary")

    def _arrays(self) -> Requests:
        return Requests.of(self.requests, edition=self.edition)

    def counts(self, arm: Arm, last: int | None = None) -> ArmCounts:
        """See ``Traffic``."""
        mine = [request for request in self.requests if request.backend == arm]
        return counts_of(mine if last is None else mine[-last:], arm)

    def split_is_off(self, share: float, alpha: float, /) -> str | None:
        """See ``Traffic``."""
        assigned: dict[str, Arm] = {}
        for request in self.requests:
            if assigned.setdefault(request.user_hash, request.assigned) != request.assigned:
                return f"user {request.user_hash} was assigned to both versions within one stage"
        exposed = sum(arm == "canary" for arm in assigned.values())
        if mismatch_p_value(exposed, len(assigned), share) >= alpha:
            return None
        return f"{exposed} of {len(assigned)} users were assigned to the canary, expected {share:.1%}"


@dataclass(frozen=True)
class Counted:
    """Counters. See ``Traffic``; they tell no users, and no less than what happened between two readings."""

    readings: Sequence[Reading]
    metrics: Mapping[str, PlanMetric] = field(default_factory=dict)

    def judge(self, slo: Slo, *, harm_alpha: float, intervals: bool = False) -> tuple[JudgedMetric, ...]:
        """See ``Traffic``."""
        return judge_counters(self.readings, slo, self.metrics, harm_alpha=harm_alpha, intervals=intervals)

    def judge_alone(
        self, slo: Slo, *, harm_alpha: float, rejections_at_most: float | None = None
    ) -> tuple[JudgedMetric, ...]:
        """See ``Traffic``."""
        return judge_counters_alone(
            self.readings, slo, self.metrics, harm_alpha=harm_alpha, rejections_at_most=rejections_at_most
        )

    def beside(self, last: int) -> tuple[ArmCounts, ArmCounts]:
        """See ``Traffic``."""
        recent = readings_of_last(self.readings, "canary", last)
        return counts_of_readings(recent, "stable"), counts_of_readings(recent, "canary")

    def counts(self, arm: Arm, last: int | None = None) -> ArmCounts:
        """See ``Traffic``."""
        return counts_of_readings(self.readings, arm, last)

    def split_is_off(self, _share: float, _alpha: float, /) -> str | None:
        """See ``Traffic``."""
        return None


def traffic_of(kept: Kept, metrics: Mapping[str, PlanMetric], *, edition: int = EDITION) -> Traffic:
    """What was kept of an epoch, as this ``edition`` of the rules looks at it."""
    if readings := readings_in(kept):
        return Counted(readings, metrics)
    return Logged(requests_in(kept), edition)


def _canary_backwards(requests: Sequence[RequestSample]) -> Iterator[RequestSample]:
    return (request for request in reversed(requests) if request.backend == "canary")


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
