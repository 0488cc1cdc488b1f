"""What a plan's ``collect`` section may ask for: one model per kind of evidence."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from decision.quantities import DurationS, Number, RatePerS

TargetName = Literal["stable", "candidate"]


class _Collect(BaseModel):
    """What all kinds share. ``uses`` names the parts of the plan that the measurement depends on besides its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    uses: ClassVar[frozenset[Literal["targets", "slo", "rollout"]]] = frozenset()

    owner: str = Field(default="operator", description="the person of the plan who sees to it")
    inputs: tuple[Path, ...] = Field(
        default=(), description="files and folders that the measurement depends on besides the subject"
    )

    def files(self) -> tuple[Path, ...]:
        """The files and folders, relative to the plan, that the measurement reads besides the subject."""
        return self.inputs


class TestSuiteCollect(_Collect):
    """Run a test suite that leaves JUnit XML or CTRF behind; without ``run``, its results are added from files."""

    __test__ = False

    kind: Literal["test-suite"]
    run: str | None = None
    cwd: Path = Path()
    junit: str | None = Field(
        default=None, description="where a runner other than pytest writes JUnit XML or CTRF (glob)"
    )
    timeout: DurationS = 1800.0


class ContractCollect(_Collect):
    """Check a running target's HTTP contract."""

    uses = frozenset({"targets"})
    kind: Literal["contract"]
    target: TargetName = "candidate"
    checks: tuple[dict[str, Any], ...]


class DataQualityCollect(_Collect):
    """Validate one dataset with one suite, named as a Python module with a function ``suite``."""

    kind: Literal["data-quality"]
    suite: str
    data: Path

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the data."""
        return (*self.inputs, self.data)


class AccuracyCollect(_Collect):
    """Compare methods on the same cases: a command writes, for each case, its unit and which methods were right."""

    kind: Literal["accuracy"]
    run: str = Field(pattern=r"\{output\}", description="{output} becomes the file that it writes")
    cwd: Path = Path()
    candidate: str
    baseline: str
    timeout: DurationS = 1800.0


class LoadCollect(_Collect):
    """Load a target at a stated arrival rate; its length is the profile's ``load``."""

    uses = frozenset({"targets", "slo"})
    kind: Literal["load"]
    target: TargetName = "candidate"
    users: Path
    journey: str
    rate: RatePerS

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the users."""
        return (*self.inputs, self.users)


class SoakCollect(_Collect):
    """Soak a target, beside a control under the same load if one is named; its length is the profile's ``soak``."""

    uses = frozenset({"targets", "slo"})
    kind: Literal["soak"]
    target: TargetName = "candidate"
    control: TargetName | None = None
    users: Path
    journey: str
    rate: RatePerS
    memory_limit: Number = Field(description="bytes that the target may use in production")
    limit_per_day: Number = 0.05
    segment: DurationS = 1800.0

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the users."""
        return (*self.inputs, self.users)


class DrillCollect(_Collect):
    """Rehearse a rollback by hand, one by the judge of a candidate made bad by ``env``, or an external API's fault."""

    uses = frozenset({"targets", "slo", "rollout"})
    kind: Literal["drill"]
    drill: Literal["rollback", "auto-rollback", "external-api"]
    users: Path | None = None
    journey: str | None = None
    rate: RatePerS | None = None
    env: dict[str, str] = Field(default_factory=dict, description="what makes the candidate of auto-rollback bad")
    api_env: str | None = Field(default=None, description="the environment variable that names the external API's URL")
    faults: tuple[Literal["slow", "hang", "reset", "http-500"], ...] = ()
    requests: dict[str, Any] = Field(default_factory=dict)
    answer_within: DurationS = 5.0

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the users."""
        return (*self.inputs, *([self.users] if self.users else []))


class MonitoringCollect(_Collect):
    """Check that the monitoring watches the targets, each under the journey that ``traffic`` names for it."""

    uses = frozenset({"targets", "slo"})
    kind: Literal["monitoring"]
    users: Path | None = None
    traffic: dict[TargetName, str] = Field(default_factory=dict)
    rate: RatePerS = 20.0
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


class DocumentationCollect(_Collect):
    """Measure documents."""

    kind: Literal["documentation"]
    documents: tuple[DocumentFile, ...]

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the documents."""
        return (*self.inputs, *(file.path for file in self.documents))


class RolloutCollect(_Collect):
    """Rehearse the plan's rollout on live traffic, with short stages but the plan's limits and numbers of requests."""

    uses = frozenset({"targets", "slo", "rollout"})
    kind: Literal["rollout"]
    users: Path
    journey: str
    rate: RatePerS
    timeout: DurationS = 600.0

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the users."""
        return (*self.inputs, self.users)


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
    | RolloutCollect,
    Field(discriminator="kind"),
]


def is_added(collect: _Collect) -> bool:
    """Whether the evidence of a collector is added from files of another system instead of being measured."""
    return isinstance(collect, TestSuiteCollect) and collect.run is None
