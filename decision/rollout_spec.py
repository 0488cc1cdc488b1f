"""How a release is carried out: stages, calendar, the router of the real rollout, and what happens afterwards."""

import re
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from decision.objectives import Stage
from decision.quantities import DurationS, Margin, MarginField, Number, Share
from decision.schedule import aware

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkingHours(_Part):
    """When shares may grow: from ``opens`` to ``closes`` on ``days`` (0: Monday), by the wall clocks of ``zone``."""

    days: tuple[int, ...]
    opens: time
    closes: time
    zone: str


class Freeze(_Part):
    """A time in which no share grows, whatever was shown. ``until`` itself is free again (aware times)."""

    begins: datetime = Field(alias="from")
    until: datetime
    why: str

    @field_validator("begins", "until")
    @classmethod
    def _is_aware(cls, at: datetime) -> datetime:
        return aware(at)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "Freeze":
        if self.until <= self.begins:
            raise ValueError("a freeze must end after it begins")
        return self


def parse_working_hours(text: object) -> WorkingHours:
    """``Mon-Fri 09:00-17:00 Europe/Berlin``; UTC when no zone is named. Raises ValueError."""
    day, hour = f"({'|'.join(DAYS)})", r"((?:[01]\d|2[0-3]):[0-5]\d)"
    match = re.fullmatch(rf"{day}(?:-{day})? {hour}-{hour}(?: (\S+))?", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('expected hours such as "Mon-Fri 09:00-17:00 Europe/Berlin"')
    first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
    opens, closes, zone = time.fromisoformat(match[3]), time.fromisoformat(match[4]), match[5] or "UTC"
    if first > last or opens >= closes:
        raise ValueError("expected days and hours in their order, such as Mon-Fri 09:00-17:00")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {zone!r}; expected one such as Europe/Berlin") from error
    return WorkingHours(days=tuple(range(first, last + 1)), opens=opens, closes=closes, zone=zone)


def parse_time_of_day(text: str) -> time | None:
    """``08:00`` as a time of every day; None for anything else."""
    return time.fromisoformat(text) if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text) else None


Hours = Annotated[
    WorkingHours, BeforeValidator(lambda v: v if isinstance(v, WorkingHours | dict) else parse_working_hours(v))
]


class Windows(_Part):
    """The calendar. ``reviews`` are times of every day (``08:00``) in the zone of ``promote``, or dated ones."""

    promote: Hours | None = None
    freeze: tuple[Freeze, ...] = ()
    reviews: tuple[str, ...] = ()

    @property
    def zone(self) -> ZoneInfo:
        """The zone of all times of day."""
        return ZoneInfo(self.promote.zone if self.promote else "UTC")


def _is_a_lease(lease_s: float) -> float:
    if not 1 <= lease_s <= 3600:
        raise ValueError("expected a lease from 1s to 1h")
    return lease_s


LeaseS = Annotated[DurationS, AfterValidator(_is_a_lease)]
KubernetesName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class RunningRouter(_Part):
    """A router that runs by itself, on the machine of the ticks. Paths start from the plan's folder.

    ``lease`` is how long it goes on without a tick before it sends everyone to stable.
    """

    kind: Literal["haproxy", "embedded"]
    listen: str
    stable: str
    candidate: str
    control: Path
    request_log: Path
    lease: LeaseS = 10.0

    @property
    def candidate_url(self) -> str:
        """Where the ticks read the candidate's metrics."""
        return self.candidate

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, listen: str) -> str:
        if not re.fullmatch(r"127\.0\.0\.1:\d{1,5}", listen):
            raise ValueError("expected an address of this machine such as 127.0.0.1:8080")
        return listen

    @field_validator("stable", "candidate")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if not re.fullmatch(r"http://[A-Za-z0-9.-]+:\d{1,5}", url):
            raise ValueError("expected a URL with host and port, and without a path, such as http://127.0.0.1:9001")
        return url


class GatewayRouter(_Part):
    """An HTTPRoute of the Kubernetes Gateway API, whose rule ``rule`` names two Services: ``stable`` and ``candidate``.

    It splits requests by weight, not users by their id. ``server``, ``token_file`` and ``ca_file`` are those of a pod
    where they are not stated; ``candidate_url`` is where ticks read the candidate's metrics.
    """

    kind: Literal["gateway-api"]
    namespace: KubernetesName
    route: KubernetesName
    rule: int = Field(default=0, ge=0)
    stable: KubernetesName
    candidate: KubernetesName
    request_log: Path | None = None
    lease: LeaseS = 30.0
    server: str | None = Field(default=None, pattern=r"^(https://|http://127\.0\.0\.1:)[^/]+$")
    token_file: Path | None = None
    ca_file: Path | None = None
    candidate_url: str | None = Field(default=None, pattern=r"^https?://[^/]+$")

    @model_validator(mode="after")
    def _has_two_services(self) -> "GatewayRouter":
        if self.stable == self.candidate:
            raise ValueError("stable and candidate are the same Service")
        return self


class PlanMetric(_Part):
    """A metric of the plan's own: which share of the events of counter ``of`` is counted by ``bad``, too.

    Both are names in the metrics of each version. Beside stable, the candidate's may be worse by so much; alone, it is
    held against ``roll_back_above``.
    """

    bad: str
    of: str
    worse_than_stable_by: MarginField = Margin(absolute=0.005, relative=None)
    roll_back_above: Share | None = None

    @field_validator("bad", "of")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", name):
            raise ValueError("expected the name of a counter such as checkouts_failed_total")
        return name

    @model_validator(mode="after")
    def _counts_two_things(self) -> "PlanMetric":
        if self.bad == self.of:
            raise ValueError("bad and of are the same counter")
        return self


MetricName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
_JUDGED = ("error-rate", "rejection-rate", "latency-p95")


class JudgeLog(_Part):
    """The judge looks at every request of the router's log."""

    source: Literal["request-log"] = Field(default="request-log", alias="from")


class _JudgeCounters(_Part):
    """What the judge may look at besides the counters of requests."""

    metrics: dict[MetricName, PlanMetric] = Field(default_factory=dict)

    @field_validator("metrics")
    @classmethod
    def _has_names_of_its_own(cls, metrics: dict[str, PlanMetric]) -> dict[str, PlanMetric]:
        if taken := sorted(metrics.keys() & set(_JUDGED)):
            raise ValueError(f"{taken[0]} is judged by its own name already")
        return metrics


class JudgeMetrics(_JudgeCounters):
    """The judge looks at counters that each version has at its URL, in Prometheus' text format."""

    source: Literal["metrics"] = Field(alias="from")
    stable: str = Field(pattern=r"^https?://[^@]+$")
    candidate: str = Field(pattern=r"^https?://[^@]+$")


class JudgePrometheus(_JudgeCounters):
    """The judge looks at counters in a Prometheus server: of ``job``, by the values of the label ``target``."""

    source: Literal["prometheus"] = Field(alias="from")
    url: str = Field(pattern=r"^https?://[^@]+$")
    job: str = Field(pattern=r'^[^"\\]+$')
    stable: str = Field(pattern=r'^[^"\\]+$')
    candidate: str = Field(pattern=r'^[^"\\]+$')


class RolloutSpec(_Part):
    """How the release is carried out. ``false_rollback_budget`` holds for the whole rollout.

    ``silence`` without a request freezes it; ``watch`` is how long the candidate is watched at 100 % before the
    rollout is complete. ``judge`` says where the judge looks, ``memory_limit`` of how many bytes the candidate's memory
    is a share.
    """

    false_rollback_budget: Annotated[Share, Field(gt=0, lt=1)] = 0.01
    stages: tuple[Stage, ...] = Field(min_length=1)
    windows: Windows = Windows()
    silence: DurationS = 300.0
    watch: DurationS = 86400.0
    router: Annotated[RunningRouter | GatewayRouter, Field(discriminator="kind")] | None = None
    memory_limit: Annotated[Number, Field(gt=0)] | None = None
    judge: Annotated[JudgeLog | JudgeMetrics | JudgePrometheus, Field(discriminator="source")] = JudgeLog()

    @property
    def counters(self) -> JudgeMetrics | JudgePrometheus | None:
        """The counters that the judge looks at; None when it looks at the request log."""
        return None if isinstance(self.judge, JudgeLog) else self.judge

    @property
    def plan_metrics(self) -> dict[str, PlanMetric]:
        """The metrics of the plan's own."""
        return {} if self.counters is None else self.counters.metrics

    @property
    def judged_metrics(self) -> int:
        """How many metrics are judged, and share the false-rollback budget."""
        return len(_JUDGED) + len(self.plan_metrics)

    @field_validator("stages")
    @classmethod
    def _shares_grow(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        shares = [stage.share for stage in stages]
        if shares != sorted(set(shares)) or shares[0] <= 0:
            raise ValueError("the shares of the stages must grow from above 0%")
        if shares[-1] != 1:
            raise ValueError("the last stage must have a share of 100%")
        if len({stage.name for stage in stages}) < len(stages):
            raise ValueError("two stages have the same name")
        return stages

    @model_validator(mode="after")
    def _tests_users_who_keep_their_version(self) -> "RolloutSpec":
        if isinstance(self.router, GatewayRouter) and any(stage.metrics for stage in self.stages):
            raise ValueError("a stage with metrics is an A/B test of users, and a gateway-api router splits requests")
        if self.counters is not None and any(stage.metrics for stage in self.stages):
            raise ValueError("a stage with metrics is an A/B test of users, and counters (judge) tell no users")
        if isinstance(self.router, GatewayRouter) and (self.router.request_log is None) != (self.counters is not None):
            raise ValueError("a gateway-api router needs either a request_log or a judge that looks at counters")
        return self
