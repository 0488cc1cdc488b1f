"""The metrics of the experiment: a fixed list, so that nobody can make the service keep ever more of them."""

from dataclasses import dataclass
from enum import StrEnum

from engines.recommendation.interactions import LIKED_FROM


class Kind(StrEnum):
    """How a metric is compared: means by Welch's test, proportions by the score test."""

    MEAN = "mean"
    PROPORTION = "proportion"


@dataclass(frozen=True)
class Metric:
    """A user's outcome, from ``low`` to ``high``; of all, more is better. ``measured`` ones nobody can tell us."""

    name: str
    kind: Kind
    says: str
    low: float = 0.0
    high: float = 1.0
    measured: bool = False


ACCURACY = Metric("accuracy", Kind.PROPORTION, "the recommendation was accepted, by feedback on it", measured=True)
METRICS = {
    metric.name: metric
    for metric in (
        ACCURACY,
        Metric("user_satisfaction", Kind.MEAN, "the user's own rating, 1 to 5", low=1.0, high=5.0),
        Metric("conversation_adoption", Kind.PROPORTION, "the user began a conversation"),
        Metric("session_duration", Kind.MEAN, "minutes of a session", high=1440.0),
        Metric("completion_rate", Kind.PROPORTION, "the user followed the recommendation, or took five turns"),
        Metric("return_rate", Kind.PROPORTION, "the user came back within seven days"),
    )
}

# For 42 % and 48 % at alpha 0.05, two-sided, and a power of 0.80; a test computes it again by statsmodels.
PLANNED_USERS_PER_ARM = 1074


def accepted(rating: float) -> float:
    """The accuracy of one recommendation, 1 or 0, from its rating of 0 to 1: accepted is what was liked."""
    return float(rating >= LIKED_FROM)
