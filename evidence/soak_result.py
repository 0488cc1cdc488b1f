"""A soak as evidence: what was under load and what was not, its nights, and the judgement of its trend."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from evidence.results import Count, Ratio, Result

_AMOUNT: dict[str, JsonValue] = {"amount": True}


class Explanation(Result):
    """One way to explain a sampled series, and how well it does."""

    name: str
    r_squared: Ratio
    bic_above_best: float = Field(description="Schwarz's criterion above that of the best explanation; 0 is the best")
    fits_as_well: bool = Field(description="whether that difference is at most 10")
    growth_per_day_left: float = Field(description="growth that it leaves unexplained, relative to the level")
    at_hours: list[float] = Field(description="where its steps are, in hours since the start")
    time_constant_hours: float | None = Field(description="of a saturation")


class Trend(Result):
    """The growth of one sampled series, with a two-sided 95 % interval, and what else could explain it."""

    verdict: Literal["stable", "leaking", "not-proven"]
    slope_per_hour: float | None
    interval_per_hour: tuple[float, float] | None
    growth_per_day: float | None = Field(
        description="relative to the level after warm-up; None below 48 hours unless a leak is shown"
    )
    growth_per_day_upper: float | None = Field(description="upper end of the interval, relative")
    growth_per_day_bound: float | None = Field(
        description="what growth, steps included, does not exceed over the whole, the last half and the last third"
    )
    smallest_visible_per_day: float | None = Field(
        description="the smallest growth, relative, that data like these would have shown to be above the limit"
    )
    coverage: Ratio | None = Field(description="share of the span in which samples were taken")
    change_points: list[float] = Field(description="hours since the start")
    explanations: list[Explanation] = Field(description="the best first")
    needs_hours: float | None = Field(description="hours under load still needed for an answer")
    why: str
    notes: list[str] = Field(description="what was unusual about the samples, and what was left out")


class Gap(Result):
    """Time inside a soak that was not under load."""

    started_at: datetime
    finished_at: datetime
    cause: str


class LostTime(Result):
    """All gaps of a soak that have one cause."""

    cause: str
    count: Count
    seconds: float


class ClockJump(Result):
    """The wall clock was set while a soak went on; by less than 0: backward. Neither makes load or gaps."""

    at: datetime
    by_s: float


class ControlResult(Result):
    """What the version beside the soaked one showed under the same load."""

    target: str
    hours_under_load: float
    completed: Count
    error_rate: Ratio | None
    p95_ms: float | None
    rss_first_mb: float | None
    rss_last_mb: float | None
    growth_per_day: float | None
    deaths: Count
    gaps: list[Gap] = Field(description="the 200 longest")
    series: list[tuple[float, float]] = Field(
        description="at most 240 points for plots: seconds since the soak's start, RSS in MB"
    )


SoakEnded = Literal["complete", "aborted", "crash-loop", "stopped", "unfinished"]
"""complete: the target hours were reached; stopped: for good, by a person or because the next night began."""


class SoakNight(Result):
    """What one night of a soak that is made of nights showed by itself."""

    record_id: str | None = Field(description="of the record that the night was taken from; None for the night itself")
    started_at: datetime
    finished_at: datetime
    hours_under_load: float
    ended: SoakEnded
    target_deaths: Count
    completed: Count
    held_rate: Ratio | None
    error_rate: Ratio | None
    p95_ms: float | None


class SoakResult(Result):
    """A soak of one target. Only time under load counts as ``hours_under_load``.

    Where the plan lets nights add up, all figures are those of all ``nights`` together: time between two of them is no
    gap, and the trend is that of the longest life in any of them. ``target_hours`` and ``ended`` are the last night's.
    """

    target: str
    target_hours: float
    hours_under_load: float = Field(json_schema_extra=_AMOUNT)
    coverage: Ratio | None = Field(
        json_schema_extra=_AMOUNT, description="time under load / time from first to last request"
    )
    ended: SoakEnded = Field(description="complete: the target hours were reached; stopped: for good, before that")
    nights: list[SoakNight] = Field(description="oldest first, the one that was recorded with this result last")
    segments: Count
    gaps: list[Gap] = Field(description="the 200 longest; lost_time has all")
    lost_time: list[LostTime]
    clock_jumps: list[ClockJump]
    target_restarts: Count = Field(description="all, also those that an interruption of the soak made necessary")
    target_deaths: Count = Field(description="how often the target ended by itself")
    longest_life_hours: float = Field(
        json_schema_extra=_AMOUNT, description="longest time that one process of the target was sampled"
    )
    longest_life_begins_s: float | None = Field(description="seconds from the start of the soak until then")
    offered: Count
    completed: Count
    errors: Count
    rate_limited: Count = Field(description="answered with 429: no error, and not served either")
    expected_4xx: Count
    error_classes: dict[str, int] = Field(description="the 20 most frequent")
    held_rate: Ratio | None
    error_rate: Ratio | None
    served_rate: Ratio | None = Field(description="completed that were neither errors nor refused with 429 / completed")
    mean_ms: float | None
    p95_ms: float | None
    generator_rss_mb: float | None = Field(description="highest")
    generator_cpu: float | None = Field(description="highest share of one core in a window")
    samples: Count
    samples_missing: Count = Field(description="samples for which the source gave no answer, or that were damaged")
    memory_ratio: Annotated[float, Field(ge=0)] | None = Field(
        description="highest RSS / the plan's memory limit of the target: above 1 when it used more"
    )
    rss_first_mb: float | None
    rss_last_mb: float | None
    growth_per_day: float | None
    verdict: Literal["stable", "leaking", "not-proven"]
    trend: Trend
    control: ControlResult | None
    series: list[tuple[float, float, float | None]] = Field(
        description="at most 240 points for plots: seconds since start, RSS in MB, P95 in ms of that window"
    )
