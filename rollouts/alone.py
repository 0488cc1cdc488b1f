"""How a candidate is judged that has no stable arm beside it: against the stable arm of the stage before. Pure."""

from scipy.stats import beta

from decision.objectives import Objective, Slo
from decision.quantities import Margin
from rollouts.judge import LATENCY_FLOOR_MS, REJECTION_MARGIN
from rollouts.observation import RecordedStable

_ERROR_MARGIN = Margin(absolute=0.005, relative=None)
_LATENCY_MARGIN = Margin(absolute=None, relative=0.10)


def rejections_alone(recorded: RecordedStable | None, alpha: float) -> float | None:
    """The share of rejections that a candidate alone may have, as ``limits_alone``; None when stable's is not known."""
    if recorded is None or recorded.rejections is None or not recorded.requests:
        return None
    allowed = _upper(recorded.rejections, recorded.requests, alpha) + REJECTION_MARGIN
    return allowed if allowed < 1 else None


def limits_alone(slo: Slo, recorded: RecordedStable | None, alpha: float) -> Slo:
    """The objectives with limits no looser than what the recorded stable arm allows.

    The error rate may be the upper Clopper-Pearson bound of stable's at ``alpha`` (Biometrika 1934) plus the margin, so
    that the chance of stable's record adds at most ``alpha``; P95 may be stable's plus its margin.
    """
    if recorded is None or not recorded.requests:
        return slo
    upper = _upper(recorded.errors, recorded.requests, alpha)
    errors, latency = slo.get("error-rate"), slo.get("latency-p95")
    limits: Slo = dict(slo)
    allowed = upper + _margin(errors, _ERROR_MARGIN).allowance(upper)
    if allowed < 1:
        limits["error-rate"] = _limited(errors, "ratio", "roll_back_above", allowed)
    spare_ms = max(LATENCY_FLOOR_MS, _margin(latency, _LATENCY_MARGIN).allowance(recorded.p95_ms))
    limits["latency-p95"] = _limited(latency, "ms", "promote_at_most", recorded.p95_ms + spare_ms)
    return limits


def _upper(k: int, n: int, alpha: float) -> float:
    return 1.0 if k == n else float(beta.ppf(1 - alpha, k + 1, n - k))


def _margin(objective: Objective | None, default: Margin) -> Margin:
    return objective.worse_than_stable_by if objective and objective.worse_than_stable_by else default


def _limited(objective: Objective | None, unit: str, limit: str, value: float) -> Objective:
    if objective is None:
        return Objective.model_validate({"unit": unit, limit: value})
    stated: float | None = getattr(objective, limit)
    return objective.model_copy(update={limit: value if stated is None else min(stated, value)})
