"""The plan that a rollout was started with: kept in its journal, so that a changed file changes no running rollout."""

from dataclasses import dataclass
from typing import Any

from decision.objectives import Slo
from decision.rollout_spec import GatewayRouter, RolloutSpec, RunningRouter
from decision.schedule import Schedule
from evidence.record import Subject
from processes.errors import IntegrityError
from rollouts.journal import Entry
from rollouts.rules import read_slo, slo_entry


@dataclass(frozen=True)
class Started:
    """What a rollout takes to production, and how."""

    subject: Subject
    plan_digest: str
    spec: RolloutSpec
    schedule: Schedule
    slo: Slo
    metrics_path: str | None

    @property
    def router(self) -> RunningRouter | GatewayRouter:
        """The running router; a rollout is not started without one."""
        assert self.spec.router is not None, "checked when the rollout was started"
        return self.spec.router

    def as_detail(self) -> dict[str, Any]:
        """As the first entry of the journal keeps it."""
        return {
            "subject": vars(self.subject),
            "plan_digest": self.plan_digest,
            "spec": self.spec.model_dump(mode="json", by_alias=True),
            "schedule": self.schedule.model_dump(mode="json"),
            "slo": slo_entry(self.slo),
            "metrics_path": self.metrics_path,
        }


def read_started(entry: Entry) -> Started:
    """What the first entry of a journal keeps. Raises IntegrityError for another entry."""
    if entry.action != "start":
        raise IntegrityError(f"the journal begins with {entry.action!r}, not with a start")
    detail = entry.detail
    return Started(
        subject=Subject(**detail["subject"]),
        plan_digest=detail["plan_digest"],
        spec=RolloutSpec.model_validate(detail["spec"]),
        schedule=Schedule.model_validate(detail["schedule"]),
        slo=read_slo(detail["slo"]),
        metrics_path=detail["metrics_path"],
    )
