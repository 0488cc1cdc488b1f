"""The parts of a release plan that are plain values: what is released, by whom, how long, and what is claimed of it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from decision.criteria import Criterion
from decision.levels import Level
from decision.quantities import DurationS

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
RiskLevel = Literal["LOW", "MEDIUM", "HIGH"]


class Part(BaseModel):
    """A part of a plan: fixed once it is read, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SubjectSource(Part):
    """What is released. ``source`` is a folder whose content digest identifies the subject."""

    name: str
    version: str
    source: Path


class Person(Part):
    """A person with a role in the release. ``machine`` marks an agent: it may recommend, it never approves."""

    name: str
    signers: Path | None = None
    machine: bool = False


class TargetSpec(Part):
    """How one version of the subject is started. ``{port}`` in ``start`` becomes a free port."""

    start: str
    ready: str
    metrics: str | None = None
    cwd: Path = Path()
    env: dict[str, str] = Field(default_factory=dict)
    inputs: tuple[Path, ...] = Field(default=(), description="files that it reads and that are not part of the subject")

    @field_validator("start")
    @classmethod
    def _has_port(cls, start: str) -> str:
        if "{port}" not in start:
            raise ValueError("expected {port} in the start command")
        return start


class Targets(Part):
    """The version that serves now, and the one to be released."""

    stable: TargetSpec
    candidate: TargetSpec


class RouterSpec(Part):
    """Which router splits the traffic."""

    kind: Literal["auto", "haproxy", "embedded"] = "auto"


class MetricsSpec(Part):
    """Where metrics come from."""

    kind: Literal["auto", "prometheus", "scrape"] = "auto"


class Profile(Part):
    """How long things take; never what they must show."""

    load: DurationS
    soak: DurationS
    stage_minimum: DurationS | None = None


class Claim(Part):
    """One line of the report: a statement, the evidence it needs and what that evidence must show."""

    id: Identifier
    says: str
    needs: str
    criteria: dict[str, Criterion] = Field(min_length=1)
    max_age: DurationS
    gates: tuple[Level, ...] = ()
    section: str = "summary"


class Group(Part):
    """A headline of the report and the claims that stand behind it."""

    says: str
    claims: tuple[str, ...] = Field(min_length=1)


class Achievements(Part):
    """One heading of the report's key achievements."""

    title: str
    lines: tuple[Group, ...] = Field(min_length=1)


class Risk(Part):
    """A risk with its mitigation. It counts as ``residual`` only when every claim in ``proven_by`` is proven."""

    risk: str
    mitigation: str
    proven_by: tuple[str, ...] = ()
    inherent: RiskLevel = "HIGH"
    residual: RiskLevel = "LOW"


class Contingency(Part):
    """What happens when things go wrong, and the claims that show that it works."""

    says: str
    proven_by: tuple[str, ...] = ()


class ApprovalRule(Part):
    """Signatures that a level needs: of ``role``, or of ``quorum`` different people among ``any_of``.

    A signature counts for ``valid`` seconds at most.
    """

    role: str | None = None
    any_of: tuple[str, ...] = ()
    quorum: int = Field(default=1, ge=1)
    valid: DurationS = 7 * 86400.0

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that may sign."""
        return self.any_of if self.role is None else (self.role,)

    @model_validator(mode="after")
    def _names_roles(self) -> "ApprovalRule":
        if (self.role is None) == (not self.any_of):
            raise ValueError("expected role, or any_of with a quorum")
        if self.role is not None and self.quorum != 1:
            raise ValueError("a quorum needs any_of: one role signs once")
        return self


class WaiverRule(Part):
    """Who may waive a claim, and for how many seconds at most. Without roles nobody may."""

    roles: tuple[str, ...] = ()
    valid: DurationS = 30 * 86400.0
