"""One simulated rollout, judged as a real one is: in epochs, each with its part of the false-rollback budget."""

from dataclasses import dataclass

import numpy as np

from benchmarks.judge.streams import Stream
from decision.objectives import Objective, Slo
from decision.quantities import Margin
from evidence.results import JudgedMetric
from rollouts.alone import limits_alone
from rollouts.judge import Requests, judge, judge_alone, overall
from rollouts.observation import EPOCH_REQUESTS, Observation, RecordedStable

JUDGED_METRICS = 3
BUDGET = 0.01
SHARES = (0.05, 0.2, 0.5)
STAGES_AND_WATCH = len(SHARES) + 2
"""The stages with a stable arm, the one at 100 % and the watch: all of them share the budget."""

PLANS: dict[str, Slo] = {
    "0.5 pp": {},
    "none": {"error-rate": Objective(unit="ratio", worse_than_stable_by=Margin(absolute=0.0, relative=None))},
}
"""What the canary may be worse by, and the objectives that say so; the first is the default."""


@dataclass(frozen=True)
class Alarm:
    """Which metric showed harm first in a stage, after how many canary requests of the stage and in which minute."""

    metric: str
    canary_requests: int
    minute: int


def alpha_of(epoch: int) -> float:
    """What one metric may spend in this epoch (from 1) of a stage."""
    return BUDGET / (JUDGED_METRICS * STAGES_AND_WATCH) * Observation(stage_epoch=epoch).budget_share


def first_alarm(stage: Stream, slo: Slo, metric: str | None = None) -> Alarm | None:
    """The first alarm of a stage, if one looks after every request; of one ``metric`` alone, if it is given.

    The judge's evidence changes only where a block ends, where blocks end depends on what came before, and harm that
    was once shown stays shown: its answer to the whole epoch holds the answers to every look before.
    """
    requests = stage.requests
    for epoch, begin in enumerate(range(0, len(stage.at_s), EPOCH_REQUESTS), 1):
        part = slice(begin, begin + EPOCH_REQUESTS)
        shown = judge(_part(requests, part), slo, harm_alpha=alpha_of(epoch))
        alarms = [_alarm(stage, m, begin) for m in shown if m.verdict == "harm" and metric in (None, m.name)]
        if alarms:
            return min(alarms, key=lambda alarm: alarm.canary_requests)
    return None


def _part(requests: Requests, part: slice) -> Requests:
    return Requests(
        requests.is_canary[part], requests.is_error[part], requests.is_rejection[part], requests.latency_ms[part]
    )


def _alarm(stage: Stream, metric: JudgedMetric, begin: int) -> Alarm:
    assert metric.first_alarm_at is not None, "harm has an alarm"
    before = int(stage.requests.is_canary[:begin].sum())
    # Latency counts canary requests from where its threshold was first known, which is a few requests too few.
    nth = before + metric.first_alarm_at
    at = np.flatnonzero(stage.requests.is_canary)[nth - 1]
    return Alarm(metric.name, nth, int(stage.at_s[at] // 60) + 1)


def frozen_alone(before: Stream, last: Stream) -> bool:
    """Whether a last stage at 100 % is frozen: it is worse than the stable arm of the stage ``before`` it was."""
    stable = ~before.requests.is_canary[-EPOCH_REQUESTS:]
    errors, latency_ms = before.requests.is_error[-EPOCH_REQUESTS:], before.requests.latency_ms[-EPOCH_REQUESTS:]
    recorded = RecordedStable(
        int(stable.sum()), int(errors[stable].sum()), float(np.percentile(latency_ms[stable], 95))
    )
    for epoch, begin in enumerate(range(0, len(last.at_s), EPOCH_REQUESTS), 1):
        alpha = alpha_of(epoch)
        part = _part(last.requests, slice(begin, begin + EPOCH_REQUESTS))
        shown = judge_alone(part, limits_alone({}, recorded, alpha), harm_alpha=alpha)
        if overall(shown) == "harm":
            return True
    return False
