"""What the experiment shows: comparisons of all metrics, corrected for their number, and one verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engines.experiments.metrics import ACCURACY, METRICS, PLANNED_USERS_PER_ARM
from engines.experiments.outcomes import Outcomes
from engines.experiments.statistics import (
    ALPHA,
    RATIO_ALPHA,
    Comparison,
    Group,
    NotEnough,
    compare,
    holm,
    sample_ratio_p_value,
)
from engines.switches import Arm

_BETTER_FOR_GO = 3


class Verdict(StrEnum):
    """What the experiment says of the ensemble."""

    GO = "go"
    GO_WITH_PLAN = "go-with-plan"
    HOLD = "hold"
    NO_GO = "no-go"


ADVICE = {
    Verdict.GO: "at least three metrics are better and none is worse: the ensemble may answer everybody",
    Verdict.GO_WITH_PLAN: "a metric is better and none is worse: plan how to watch the others before it answers more",
    Verdict.HOLD: "nothing is shown yet: leave the share as it is",
    Verdict.NO_GO: "a metric is worse: roll back, and find out why",
}


@dataclass(frozen=True)
class Compared:
    """A metric of both arms; ``missing`` says why there is no comparison."""

    control: Group
    treatment: Group
    comparison: Comparison | None
    missing: str | None

    @property
    def sample_ratio(self) -> float:
        """How likely arms of half the users are so unequal by chance."""
        return sample_ratio_p_value(self.control.users, self.treatment.users)


@dataclass(frozen=True)
class Analysis:
    """All metrics, and the adjusted p-values of those that can be compared."""

    metrics: dict[str, Compared]
    adjusted: dict[str, float]

    def is_significant(self, name: str) -> bool:
        """Whether the arms differ in this metric, counted with all others."""
        return self.adjusted.get(name, 1.0) < ALPHA

    @property
    def verdict(self) -> Verdict:
        """Counts significant metrics alone: one that merely leans to the better side says nothing.

        Before the planned number of users, or with uneven arms, nothing is shown.
        """
        if self.uneven or not self.has_planned_users:
            return Verdict.HOLD
        shown = [one.comparison for name, one in self.metrics.items() if one.comparison and self.is_significant(name)]
        better = sum(comparison.difference > 0 for comparison in shown)
        if better < len(shown):
            return Verdict.NO_GO
        if better >= _BETTER_FOR_GO:
            return Verdict.GO
        return Verdict.GO_WITH_PLAN if better else Verdict.HOLD

    @property
    def uneven(self) -> list[str]:
        """Metrics whose arms have numbers of users that halves would hardly have: something loses users of one arm."""
        return [name for name, one in self.metrics.items() if one.sample_ratio < RATIO_ALPHA]

    @property
    def has_planned_users(self) -> bool:
        """Whether the metric that the experiment was planned for has its users in both arms."""
        planned = self.metrics[ACCURACY.name]
        return min(planned.control.users, planned.treatment.users) >= PLANNED_USERS_PER_ARM


def analysed(outcomes: Outcomes, since: datetime) -> Analysis:
    """The experiment as far as it has come. Raises SQLAlchemyError."""
    return analysis_of({name: outcomes.groups(name, since) for name in METRICS})


def analysis_of(groups: Mapping[str, Mapping[Arm, Group]]) -> Analysis:
    """The comparisons of all metrics."""
    metrics = {name: compared(name, arms) for name, arms in groups.items()}
    p_values = {name: one.comparison.p_value for name, one in metrics.items() if one.comparison is not None}
    return Analysis(metrics, holm(p_values))


def compared(name: str, arms: Mapping[Arm, Group]) -> Compared:
    """One metric by itself."""
    control, treatment = arms[Arm.CONTROL], arms[Arm.TREATMENT]
    try:
        return Compared(control, treatment, compare(METRICS[name].kind, control, treatment), None)
    except NotEnough as missing:
        return Compared(control, treatment, None, str(missing))
