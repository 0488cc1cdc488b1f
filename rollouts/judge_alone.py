"""The judge where everyone has the candidate: no stable arm is left to compare with.

A comparison with stable requests of an earlier time would mistake the hour for the version. What is shown instead is
that the candidate keeps absolute limits: its error rate the plan's gate, or what stable showed in the stage before
plus the margin when that is lower; its P95 the plan's gate alone, because a full share also means full load. Same
betting mathematics as in ``two_sample``, one arm against a fixed limit.
"""

import numpy as np

from decision.objectives import Slo
from evidence.results import ArmCounts, JudgedMetric
from rollouts.judge import (
    MUST_BE_NON_INFERIOR,
    PROMOTE_ALPHA,
    Judgement,
    answer_of,
    combine,
    margin_of,
    missing_metric,
)
from rollouts.latency import quantile
from rollouts.samples import Requests
from rollouts.two_sample import SHORT_BLOCK, Bools, Floats, growth_of_limit, log_evidence_of_limit

_SLOW_SHARE = 0.05
_SINGLES = 20_000
"""Up to this many requests the judge bets on each one, above on blocks of them."""


def judge_alone(requests: Requests, slo: Slo, stable_before: ArmCounts | None, *, harm_alpha: float) -> Judgement:
    """Judge the candidate's requests (in time order) against absolute limits; a missing limit proves nothing."""
    alpha = harm_alpha / len(MUST_BE_NON_INFERIOR)
    chosen = requests.is_canary
    error, latency_ms = requests.error[chosen], requests.latency_ms[chosen]
    return combine((_error_rate(error, slo, stable_before, alpha), _latency(latency_ms, error, slo, alpha)))


def _error_rate(error: Floats, slo: Slo, stable_before: ArmCounts | None, alpha: float) -> JudgedMetric:
    name, objective = "error-rate", slo.get("error-rate")
    baseline = stable_before.error_rate if stable_before else None
    limits = [objective.promote_at_most] if objective and objective.promote_at_most is not None else []
    if baseline is not None:
        limits.append(baseline + margin_of(name, objective).allowance(baseline))
    if not len(error) or np.isnan(error).any() or not limits:
        return missing_metric(name)
    harm_limit = objective.roll_back_above if objective else None
    metric = _limited(name, error > 0, min(limits), min(limits) if harm_limit is None else harm_limit, alpha)
    rate = float(error.mean())
    difference = rate - baseline if baseline is not None else None
    return metric.model_copy(update={"baseline": baseline, "canary": rate, "difference": difference})


def _latency(latency_ms: Floats, error: Floats, slo: Slo, alpha: float) -> JudgedMetric:
    name, objective = "latency-p95", slo.get("latency-p95")
    answered = latency_ms[error == 0]
    limit = objective.promote_at_most if objective else None
    if limit is None or not len(answered) or np.isnan(answered).any():
        return missing_metric(name)
    metric = _limited(name, answered > limit, _SLOW_SHARE, _SLOW_SHARE, alpha)
    return metric.model_copy(update={"canary": quantile(answered, 0.95)})


def _limited(name: str, bad: Bools, limit: float, harm_limit: float, alpha: float) -> JudgedMetric:
    """Judge one arm's unwanted outcomes: below ``limit`` is non-inferior, above ``harm_limit`` is harm."""
    edges = np.unique([*range(0, len(bad), 1 if len(bad) <= _SINGLES else SHORT_BLOCK), len(bad)])
    bad_until = np.concatenate([[0], np.cumsum(bad)])
    blocks, block_bad = np.diff(edges).astype(float), np.diff(bad_until[edges]).astype(float)
    within = log_evidence_of_limit("within", block_bad, blocks, limit)
    answer = answer_of(log_evidence_of_limit("worse", block_bad, blocks, harm_limit), within, blocks, alpha)
    rate = float(bad.mean())
    growth = growth_of_limit(rate, limit)
    missing = -np.log(PROMOTE_ALPHA) + 1.0 - min(float(within[-1]), -np.log(PROMOTE_ALPHA))
    needs = None if rate >= limit or growth < 1e-9 else max(1, int(np.ceil(missing / growth)))
    return JudgedMetric(
        name=name, baseline=None, canary=None, difference=None, interval=None, p_value=answer.p_value,
        verdict=answer.verdict, margin=None, needs_requests=0 if answer.verdict != "not-proven" else needs,
        first_alarm_at=answer.first_alarm_at,
    )  # fmt: skip
