"""Confidence is never a pass rate: what is proven of what is required, the weakest claim, and measured bounds."""

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from decision.claims import ClaimVerdict
from decision.quantities import duration_text
from evidence.record import Record
from evidence.results import RolloutResult
from evidence.soak_result import SoakResult

_ORDER = ("REFUTED", "NOT PROVEN", "WAIVED", "PROVEN")


RULE = (
    "required claims proven of all required, never a pass rate or an average; a bound of a sampled rate is Wilson's"
    " one-sided upper limit, one of a time between failures is hours without a failure / -ln(0.05)"
)


class Bound(BaseModel):
    """A one-sided 95 % bound on something that was sampled, with the record it comes from."""

    model_config = ConfigDict(frozen=True)

    text: str
    value: float
    record_id: str


class Confidence(BaseModel):
    """``proven`` of ``required`` claims, the weakest of them by name, and the bounds of sampled quantities."""

    model_config = ConfigDict(frozen=True)

    proven: int
    required: int
    weakest: str | None
    bounds: tuple[Bound, ...]


def confidence_of(required: Sequence[ClaimVerdict], records: Sequence[Record]) -> Confidence:
    """Summarise the required claims and the records that they rest on."""
    used = {c.record_id for c in required}
    bounds = []
    for record in (r for r in records if r.record_id in used):
        if isinstance(record.result, RolloutResult) and record.result.canary_requests:
            high = error_rate_upper(record.result.canary_errors, record.result.canary_requests)
            text = (
                f"canary error rate at most {100 * high:.2g} % at 95 % "
                f"({record.result.canary_errors} errors in {record.result.canary_requests:,} requests)"
            )
            bounds.append(Bound(text=text, value=high, record_id=record.record_id))
        if (
            isinstance(record.result, SoakResult)
            and record.result.hours_under_load > 0
            and not record.result.target_deaths
            and not record.result.errors  # the bound is that of a time without any failure
        ):
            hours = mtbf_lower_h(record.result.hours_under_load)
            soaked, between = (duration_text(h * 3600) for h in (record.result.hours_under_load, hours))
            text = f"time between failures at least {between} at 95 % ({soaked} soaked without one)"
            bounds.append(Bound(text=text, value=hours, record_id=record.record_id))
    weakest = min(required, key=_weakness, default=None)
    return Confidence(
        proven=sum(c.verdict == "PROVEN" for c in required),
        required=len(required),
        weakest=weakest.says if weakest else None,
        bounds=tuple(bounds),
    )


def _weakness(claim: ClaimVerdict) -> tuple[int, float]:
    """Worst verdict first; among equals the criterion closest to its limit, relative to the observed value."""
    margins = [
        c.margin / abs(c.observed) if c.observed else 0.0
        for c in claim.criteria
        if c.margin is not None and isinstance(c.observed, float | int)
    ]
    return _ORDER.index(claim.verdict), min((abs(m) for m in margins if m), default=math.inf)


def error_rate_upper(errors: int, requests: int, level: float = 0.95) -> float:
    """One-sided upper bound of a proportion (Wilson 1927 score interval)."""
    z = _z(level)
    rate = errors / requests
    centre = rate + z * z / (2 * requests)
    spread = z * math.sqrt(rate * (1 - rate) / requests + z * z / (4 * requests * requests))
    return min(1.0, (centre + spread) / (1 + z * z / requests))


def mtbf_lower_h(failure_free_h: float, level: float = 0.95) -> float:
    """Lower bound of the mean time between failures after ``failure_free_h`` hours without one: T / -ln(1 - level)."""
    return failure_free_h / -math.log(1 - level)


def _z(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(level)
