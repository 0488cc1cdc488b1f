"""Service level objectives and rollout stages: said once, read by judge, load limits, alert rules and report."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from decision.ab_metrics import AbAnalysis, AbMetric
from decision.levels import LEVELS, Level
from decision.quantities import DurationS, MarginField, Number, Share, Windows

ObjectiveName = Literal[
    "error-rate", "latency-p95", "latency-mean", "memory", "cpu", "availability", "consecutive-failures"
]


class Objective(BaseModel):
    """One service level indicator with its limits. Ratios are 0 to 1, latencies milliseconds.

    ``promote_at_most`` and ``worse_than_stable_by`` gate a promotion; ``roll_back_above`` (``roll_back_below``) held
    for ``for`` consecutive windows rolls back; ``roll_back_at_once_above`` acts on the first window that has
    ``at_least_requests`` requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    unit: Literal["ratio", "ms", "count"]
    promote_at_most: Number | None = None
    roll_back_above: Number | None = None
    roll_back_below: Number | None = None
    windows: Windows = Field(default=1, alias="for")
    roll_back_at_once_above: Number | None = None
    at_least_requests: int = 0
    worse_than_stable_by: MarginField | None = None

    @property
    def limits(self) -> bool:
        """Whether anything rolls back by it."""
        return (self.roll_back_above, self.roll_back_below, self.roll_back_at_once_above) != (None, None, None)


Slo = dict[ObjectiveName, Objective]
UNCOUNTED: tuple[ObjectiveName, ...] = ("latency-mean", "availability", "consecutive-failures")
"""What the counters of both versions do not tell: they know neither the order of requests nor those they never saw."""


class Stage(BaseModel):
    """One stage of a rollout: the candidate's share, and what must have been seen before it may be promoted.

    ``salt`` enters the assignment hash, so that stages with different salts expose independent sets of users.
    ``metrics`` make the stage an A/B test: what is compared between the users of both versions at its end.
    ``level`` is what the stage asks for, ``not_before`` a time of the schedule, ``irreversible`` says why there is no
    way back from here on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    share: Share
    minimum: DurationS = 0.0
    requests: int = 0
    salt: str = ""
    level: Literal["canary", "ab-test", "full"] | None = None
    not_before: str | None = None
    approval: str | None = None
    irreversible: str | None = None
    metrics: dict[str, AbMetric] = Field(default_factory=dict)
    analysis: AbAnalysis = AbAnalysis()

    def asks_for(self) -> Level:
        """The authorization level that the stage needs: as stated, as named, or by its share."""
        if self.level is not None:
            return self.level
        named: Level | None = next((level for level in LEVELS[1:] if level == self.name), None)
        return named or ("full" if self.share == 1 else "canary")
