"""What an A/B test showed: evidence of kind ``ab-test``."""

from typing import Literal

from pydantic import Field, JsonValue

from evidence.results import Count, Ratio, Result

_AMOUNT: dict[str, JsonValue] = {"amount": True}

AbVerdict = Literal["better", "worse", "too-small", "non-inferior", "not-proven"]


class AbMetricResult(Result):
    """The answer for one metric. ``effect`` is treatment - control in the metric's unit.

    ``interval`` has the coverage 1 - alpha of this metric alone; ``adjusted_p`` is corrected over the metrics of the
    same role. The p-value of a guardrail is one-sided, against its margin, and not corrected: every guardrail must
    pass.
    """

    name: str
    type: Literal["mean", "proportion", "ratio"]
    role: Literal["primary", "secondary", "guardrail"]
    direction: Literal["increase", "decrease"]
    control_units: Count
    treatment_units: Count
    missing_units: Count = Field(description="units without a value, left out of this metric")
    control: float | None
    treatment: float | None
    effect: float | None
    relative_effect: float | None = Field(description="effect / |control|")
    interval: tuple[float, float] | None
    p_value: float | None
    adjusted_p: float | None
    verdict: AbVerdict
    why: str
    margin: float | None = Field(description="the most that a guardrail may be worse, in the metric's unit")
    minimum_effect: float | None = Field(description="the least effect that is wanted, in the metric's unit")
    covariate: str | None
    variance_reduction: float | None = Field(description="share of the variance that the covariate took away")
    needs_units: int | None = Field(description="further units, of both arms, for an answer at the planned power")


class AbSegmentResult(Result):
    """One metric within one segment. Reported; never part of the verdict."""

    segment: str
    value: str
    metric: str
    control_units: Count
    treatment_units: Count
    effect: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    adjusted_p: float | None = Field(description="corrected over all segments and metrics together")
    verdict: Literal["better", "worse", "not-proven"]


class AbTestResult(Result):
    """An A/B test. ``invalid``: the arms are not what they should be, so nothing is said about any metric."""

    control_arm: str
    treatment_arm: str
    control_units: Count
    treatment_units: Count
    expected_share: Ratio = Field(description="of units that should be in the treatment")
    srm_p_value: Ratio = Field(description="sample-ratio mismatch: exact binomial, two-sided")
    planned_units: int | None = Field(description="of both arms, computed before the start")
    units: Count = Field(json_schema_extra=_AMOUNT)
    days: float | None = Field(
        default=None, json_schema_extra=_AMOUNT, description="from the stage's begin to the look, in production"
    )
    alpha: float
    correction: Literal["holm", "benjamini-hochberg"]
    verdict: Literal["better", "worse", "non-inferior", "not-proven", "invalid"]
    why: str
    metrics: list[AbMetricResult]
    segments: list[AbSegmentResult]
