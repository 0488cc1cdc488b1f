"""The flow that rehearses a rollback or a fault."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import flow

from collectors.external_api_drill import drill_external_api
from decision.collect import DrillCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.routed_traffic import TrafficSpec, kept_traffic, rehearse_plan, routed_traffic
from flows.targets import running_target
from processes.errors import UsageError
from processes.target import Target
from rollouts.auto_rollback import judge_auto_rollback
from rollouts.drill import rehearse_rollback
from rollouts.router_drills import rehearse_lease_lapse, rehearse_router_restart

_LONGEST_S = 120.0


@flow(name="drill", flow_run_name="drill {collect}")
def drill(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Rehearse what the plan names; returns the record id."""
    return record_measurement(plan, collect, profile, home, DrillCollect, _drill)


def _drill(step: Step[DrillCollect]) -> Measurement:
    match step.collect.drill:
        case "rollback":
            return _rollback(step)
        case "auto-rollback":
            return _auto_rollback(step)
        case "lease-lapse":
            return _lease_lapse(step)
        case "router-restart":
            return _router_restart(step)
        case "external-api":
            return _external_api(step)


def _rollback(step: Step[DrillCollect]) -> Measurement:
    with routed_traffic(step, _load_of(step), salt=step.name, longest_s=_LONGEST_S) as routed:
        return rehearse_rollback(routed.router, traffic_alive=routed.traffic.alive, progress=step.progress)


def _auto_rollback(step: Step[DrillCollect]) -> Measurement:
    """Rehearse the plan's rollout with a candidate that is bad on purpose: the judge alone must take it back."""
    if not step.collect.env:
        raise UsageError(f"{step.name}: an auto-rollback drill needs env, which makes the candidate bad")
    stages = step.plan.rollout.stages
    with routed_traffic(
        step, _load_of(step), salt=stages[0].salt, longest_s=_LONGEST_S + 60, candidate_env=step.collect.env
    ) as routed:
        return judge_auto_rollback(rehearse_plan(step, routed, timeout_s=_LONGEST_S), step.collect.env)


def _lease_lapse(step: Step[DrillCollect]) -> Measurement:
    with kept_traffic(step, _load_of(step), longest_s=_LONGEST_S) as (kept, running):
        return rehearse_lease_lapse(kept, traffic_alive=running.alive, progress=step.progress, work_dir=step.work_dir)


def _router_restart(step: Step[DrillCollect]) -> Measurement:
    path = step.plan.targets.stable.ready
    with kept_traffic(step, _load_of(step), longest_s=_LONGEST_S) as (kept, running):
        return rehearse_router_restart(kept, path=path, traffic_alive=running.alive, progress=step.progress)


def _load_of(step: Step[DrillCollect]) -> TrafficSpec:
    users, journey, rate = step.collect.users, step.collect.journey, step.collect.rate
    if users is None or journey is None or rate is None:
        raise UsageError(f"{step.name}: a drill through the router needs users, journey and rate")
    return TrafficSpec(users, journey, rate)


def _external_api(step: Step[DrillCollect]) -> Measurement:
    if step.collect.api_env is None:
        raise UsageError(f"{step.name}: a drill of an external API needs api_env")
    variable = step.collect.api_env

    @contextmanager
    def start_candidate(api_url: str) -> Iterator[Target]:
        with running_target(step.plan_file, "candidate", step.work_dir, {variable: api_url}) as target:
            yield target

    return drill_external_api(
        start_candidate,
        faults=step.collect.faults,
        journey=step.collect.requests,
        answer_within_ms=step.collect.answer_within * 1000,
    )
