"""What a plan's ``collect`` section may ask for: one model per kind of evidence."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from decision.collect_part import CollectPart
from decision.collect_rollout import AbTestCollect, AnyRolloutCollect, LivedCollect
from decision.quantities import (
    DurationS,
    Number,
    RateOfOne,
    RateOrNone,
    RatePerS,
    Share,
    checked_rate_per_s,
    parse_address,
)

TargetName = Literal["stable", "candidate"]


class TestSuiteCollect(CollectPart):
    """Run a test suite that leaves JUnit XML or CTRF behind; without ``run``, its results are added from files."""

    __test__ = False

    kind: Literal["test-suite"]
    run: str | None = None
    cwd: Path = Path()
    junit: str | None = Field(
        default=None, description="where a runner other than pytest writes JUnit XML or CTRF (glob)"
    )
    timeout: DurationS = 1800.0


class ContractCollect(CollectPart):
    """Check a running target's HTTP contract."""

    uses = frozenset({"targets"})
    kind: Literal["contract"]
    target: TargetName = "candidate"
    checks: tuple[dict[str, Any], ...]


class DataQualityCollect(CollectPart):
    """Validate one dataset with one suite, named as a Python module with a function ``suite``."""

    kind: Literal["data-quality"]
    suite: str
    data: Path

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the data."""
        return (*self.inputs, self.data)


class LoadStage(BaseModel):
    """A part of a load: the rate goes linearly to ``to`` within ``over``; 0s is a jump. The first begins at 0/s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: RateOrNone
    over: DurationS


class AccuracyCollect(CollectPart):
    """Compare methods on the same cases: a command writes, for each case, its unit and which methods were right."""

    kind: Literal["accuracy"]
    run: str = Field(pattern=r"\{output\}", description="{output} becomes the file that it writes")
    cwd: Path = Path()
    candidate: str
    baseline: str
    timeout: DurationS = 1800.0


class LoadCollect(CollectPart):
    """Load a target at a stated arrival rate for the profile's ``load``, or in ``stages``.

    Stages take as long as they say, and are shortened all alike where the profile's ``load`` is shorter. ``journey`` is
    one of the users' journeys; without it ``users`` is an ordinary locustfile, and an arrival executes one of its
    tasks. ``workers`` processes make the load, and ``remote_workers`` that join at ``bind`` from other machines.
    """

    uses = frozenset({"targets", "slo"})
    kind: Literal["load"]
    target: TargetName = "candidate"
    users: Path
    journey: str | None = None
    rate: RatePerS | None = None
    stages: tuple[LoadStage, ...] = ()
    workers: int = Field(default=1, ge=0, le=64)
    remote_workers: int = Field(default=0, ge=0, le=1000)
    bind: str | None = Field(default=None, description="HOST:PORT where workers of other machines join")

    @field_validator("bind")
    @classmethod
    def _is_an_address(cls, bind: str | None) -> str | None:
        if bind is not None:
            parse_address(bind)
        return bind

    @model_validator(mode="after")
    def _says_how_much(self) -> "LoadCollect":
        if (self.rate is None) == (not self.stages):
            raise ValueError("expected rate, or stages")
        if self.stages and not any(stage.to > 0 and stage.over > 0 for stage in self.stages):
            raise ValueError("the stages offer nothing: none of them has a rate and a time")
        if self.workers + self.remote_workers == 0:
            raise ValueError("expected workers or remote_workers: nobody makes the load")
        if bool(self.remote_workers) != (self.bind is not None):
            raise ValueError("remote_workers and bind go together: bind says where they join")
        for rate in (self.rate or 0.0, *(stage.to for stage in self.stages)):
            checked_rate_per_s(rate, self.workers + self.remote_workers)
        return self

    def length_s(self, profile_s: float) -> float:
        """How long the load takes where the profile's ``load`` is ``profile_s``."""
        return min(profile_s, sum(stage.over for stage in self.stages)) if self.stages else profile_s

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the users."""
        return (*self.inputs, self.users)


class PrometheusResources(BaseModel):
    """Queries to a Prometheus server, each with one answer. ``{target}`` and ``{port}`` become those of the target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prometheus: str = Field(pattern=r"^https?://", description="the server's URL")
    memory: str = Field(description="bytes in use")
    cpu: str = Field(description="seconds of CPU time since the start")
    started: str = Field(description="when the process was started, in epoch seconds: another one is a restart")


class SoakCollect(CollectPart):
    """Soak a target, beside a control under the same load; its length is the profile's ``soak``.

    The control of a candidate is stable where the plan says nothing else. ``journey`` and ``workers`` are as of a load;
    the control has as many workers of its own.
    """

    uses = frozenset({"targets", "slo"})
    kind: Literal["soak"]
    target: TargetName = "candidate"
    control: TargetName | Literal["none"] | None = None
    users: Path
    journey: str | None = None
    rate: RatePerS
    workers: int = Field(default=1, ge=1, le=64)
    memory_limit: Number = Field(gt=0, description="bytes that the target may use in production")
    limit_per_day: Number = Field(
        default=0.05, gt=0, le=1, description="growth of memory a day, as a share of its level, that is no leak yet"
    )
    segment: DurationS = Field(
        default=1800.0, ge=30, description="after so long a fresh load generator goes on; the pause between is a gap"
    )
    coverage_at_least: Share = Field(
        default=0.95, gt=0, description="below this share of the time under load the trend is not proven"
    )
    nights_add_up: bool = Field(
        default=False, description="earlier soaks of the same subject and inputs count together with a new one"
    )
    resources: Literal["process", "metrics"] | PrometheusResources = Field(
        default="process", description="where memory and CPU are read: the processes, or the target's metrics"
    )

    @property
    def beside(self) -> TargetName | None:
        """The version that is soaked beside the target."""
        if self.control == "none":
            return None
        return self.control or ("stable" if self.target == "candidate" else None)

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the users."""
        return (*self.inputs, self.users)

    @model_validator(mode="after")
    def _offers_what_it_can(self) -> "SoakCollect":
        checked_rate_per_s(self.rate, self.workers)
        return self

    @model_validator(mode="after")
    def _has_another_control(self) -> "SoakCollect":
        if self.control == self.target:
            raise ValueError(f"the control of {self.target} cannot be {self.target} itself")
        return self


class DrillCollect(CollectPart):
    """Rehearse a rollback by hand or by the judge, the death of controller or router, or an external API's fault.

    ``env`` makes the candidate bad that the judge takes back.
    """

    uses = frozenset({"targets", "slo", "rollout"})
    kind: Literal["drill"]
    drill: Literal["rollback", "auto-rollback", "lease-lapse", "router-restart", "external-api"]
    users: Path | None = None
    journey: str | None = None
    rate: RateOfOne | None = None
    env: dict[str, str] = Field(default_factory=dict, description="what makes the candidate of auto-rollback bad")
    api_env: str | None = Field(default=None, description="the environment variable that names the external API's URL")
    faults: tuple[Literal["slow", "hang", "reset", "http-500"], ...] = ()
    requests: dict[str, Any] = Field(default_factory=dict)
    answer_within: DurationS = 5.0

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the users."""
        return (*self.inputs, *([self.users] if self.users else []))


class MonitoringCollect(CollectPart):
    """Check that the monitoring watches the targets, each under the journey that ``traffic`` names for it."""

    uses = frozenset({"targets", "slo"})
    kind: Literal["monitoring"]
    users: Path | None = None
    traffic: dict[TargetName, str] = Field(default_factory=dict)
    rate: RateOfOne = 20.0
    metric_names: tuple[str, ...]
    log_fields: tuple[str, ...]
    dashboards: tuple[Path, ...] = ()

    def files(self) -> tuple[Path, ...]:
        """The inputs, the dashboards, and the users."""
        return (*self.inputs, *self.dashboards, *([self.users] if self.users else []))


class DocumentFile(BaseModel):
    """One document that must exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    title: str = ""
    sections: tuple[str, ...] = ()
    lines_at_least: int = 1


class DocumentationCollect(CollectPart):
    """Measure documents."""

    kind: Literal["documentation"]
    documents: tuple[DocumentFile, ...]

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the documents."""
        return (*self.inputs, *(file.path for file in self.documents))


Collect = Annotated[
    TestSuiteCollect
    | ContractCollect
    | DataQualityCollect
    | AccuracyCollect
    | LoadCollect
    | SoakCollect
    | DrillCollect
    | MonitoringCollect
    | DocumentationCollect
    | AnyRolloutCollect
    | AbTestCollect,
    Field(discriminator="kind"),
]


def is_added(collect: CollectPart) -> bool:
    """Whether the evidence of a collector is added from files of another system instead of being measured."""
    return isinstance(collect, TestSuiteCollect) and collect.run is None


def is_lived(collect: CollectPart) -> bool:
    """Whether the evidence of a collector is recorded by the real rollout, in its own time."""
    return isinstance(collect, LivedCollect)


def is_measured_here(collect: CollectPart) -> bool:
    """Whether an authorization can measure it."""
    return not is_added(collect) and not is_lived(collect)
