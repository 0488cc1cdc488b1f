"""Bodies of requests and answers about outcomes and the experiment."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from engines.experiments.analysis import Verdict
from engines.experiments.metrics import Kind
from engines.switches import Arm
from engines.web.schemas import RequestBody, UserId, example

_AT = "2025-10-30T08:00:00Z"
_COMPARED = {
    "metric": "accuracy",
    "kind": "proportion",
    "control": {"users": 1100, "mean": 0.42},
    "treatment": {"users": 1090, "mean": 0.48},
    "difference": 0.06,
    "interval": [0.018, 0.101],
    "p_value": 0.0049,
    "adjusted_p_value": 0.0049,
    "effect_size": 0.121,
    "significant": True,
}


class _Told(RequestBody):
    user_id: UserId
    session_id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] | None = None


class ToldShare(_Told):
    """Whether the user did something: 1 or 0."""

    model_config = example(user_id="user-00001", metric_name="return_rate", value=1)

    metric_name: Literal["conversation_adoption", "completion_rate", "return_rate"]
    value: Annotated[float, Field(strict=True, ge=0, le=1, multiple_of=1)]


class ToldSatisfaction(_Told):
    """The user's own rating, from 1 to 5."""

    model_config = example(user_id="user-00001", metric_name="user_satisfaction", value=4)

    metric_name: Literal["user_satisfaction"]
    value: Annotated[float, Field(strict=True, ge=1, le=5)]


class ToldDuration(_Told):
    """Minutes of a session, a day at most."""

    model_config = example(user_id="user-00001", metric_name="session_duration", value=7.5)

    metric_name: Literal["session_duration"]
    value: Annotated[float, Field(strict=True, ge=0, le=1440)]


Told = Annotated[
    ToldShare | ToldSatisfaction | ToldDuration,
    Field(
        discriminator="metric_name",
        description="An outcome of a user. Accuracy cannot be told: feedback on recommendations measures it.",
    ),
]


class Recorded(BaseModel):
    """An outcome that is kept; ``arm`` is null without an experiment."""

    model_config = example(
        user_id="user-00001",
        metric_name="session_duration",
        value=7.5,
        arm="treatment",
        recorded_at=_AT,
        metadata={"user_provided_metadata": {}},
    )

    user_id: str
    metric_name: str
    value: float
    arm: Arm | None
    recorded_at: datetime
    metadata: dict[str, Any]


class ArmOfMetric(BaseModel):
    """An arm: its users, of each the first outcome, and their mean."""

    users: int
    mean: float | None


class MetricCompared(BaseModel):
    """A metric of both arms: treatment minus control, with a 95 % interval; ``missing`` says why there is none."""

    model_config = example(**_COMPARED)

    metric: str
    kind: Kind
    control: ArmOfMetric
    treatment: ArmOfMetric
    difference: float | None
    interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None
    p_value: float | None
    adjusted_p_value: float | None
    effect_size: float | None
    significant: bool
    missing: str | None = None


class ExperimentAnalysis(BaseModel):
    """All metrics that can be compared, corrected for their number by Holm; and what the others lack."""

    model_config = example(began_at=_AT, metrics=[_COMPARED], missing={"return_rate": "30 users are needed"}, uneven=[])

    began_at: datetime
    metrics: list[MetricCompared]
    missing: dict[str, str]
    uneven: list[str]


class ExperimentReport(BaseModel):
    """The verdict, what it means, and the analysis behind it, also as lines of text."""

    model_config = example(
        verdict="hold",
        advice="nothing is shown yet: leave the share as it is",
        planned_users_per_arm=1074,
        has_planned_users=False,
        analysis={"began_at": _AT, "metrics": [_COMPARED], "missing": {}, "uneven": []},
        text=["accuracy: +0.06 [0.018, 0.101], adjusted p 0.0049"],
    )

    verdict: Verdict
    advice: str
    planned_users_per_arm: int
    has_planned_users: bool
    analysis: ExperimentAnalysis
    text: list[str]


class ExperimentStatus(BaseModel):
    """Whether an experiment runs, and how many outcomes are kept of each metric."""

    model_config = example(running=True, began_at=_AT, outcomes={"accuracy": 2190})

    running: bool
    began_at: datetime | None
    outcomes: dict[str, int]


class MetricDescription(BaseModel):
    """A metric, the values it may have, and whether it is measured here or told."""

    model_config = example(
        name="accuracy",
        kind="proportion",
        says="the recommendation was accepted, by feedback on it",
        low=0.0,
        high=1.0,
        measured=True,
    )

    name: str
    kind: Kind
    says: str
    low: float
    high: float
    measured: bool


class MetricList(BaseModel):
    """All metrics."""

    metrics: list[MetricDescription]


class ExperimentConfig(BaseModel):
    """How the arms are drawn: half of the users of the canary's share are answered by the router instead."""

    model_config = example(
        running=True,
        salt="q3Jm0c8yV1xTzK9e",
        began_at=_AT,
        arms={"control": "resonance_router", "treatment": "ensemble"},
        alpha=0.05,
        planned_users_per_arm=1074,
    )

    running: bool
    salt: str | None
    began_at: datetime | None
    arms: dict[Arm, str]
    alpha: float
    planned_users_per_arm: int
