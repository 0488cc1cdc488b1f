"""How often several methods were right about the same cases: evidence of kind ``accuracy``."""

from typing import Annotated

from pydantic import Field, JsonValue

from evidence.results import Count, Ratio, Result

_AMOUNT: dict[str, JsonValue] = {"amount": True}
_Difference = Annotated[float, Field(ge=-1, le=1)]


class MethodAccuracy(Result):
    """One method, and by how much the candidate is right more often. Both intervals are two-sided, at ``level``."""

    method: str
    right: Count
    accuracy: Ratio
    interval: tuple[float, float] | None
    candidate_gain: _Difference
    gain_interval: tuple[float, float] | None


class AccuracyResult(Result):
    """Methods compared on the same cases, several of one unit (a user) being no independent cases.

    ``gain`` is the candidate's accuracy - the baseline's, ``gain_low`` and ``gain_high`` the ends of its interval; an
    interval is None with fewer than two units.
    """

    candidate: str
    baseline: str
    units: Count = Field(json_schema_extra=_AMOUNT)
    cases: Count = Field(json_schema_extra=_AMOUNT)
    level: float = Field(description="coverage of each interval")
    candidate_accuracy: Ratio | None
    baseline_accuracy: Ratio | None
    gain: _Difference | None
    gain_low: float | None
    gain_high: float | None
    methods: list[MethodAccuracy]
