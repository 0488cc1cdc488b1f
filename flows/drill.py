"""The flow that rehearses a rollback or a fault."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collectors.external_api_drill import drill_external_api
from loadtests.traffic import traffic
from prefect import flow
from rollouts.drill import rehearse_rollback
from rollouts.open_router import open_router

from decision.collect import DrillCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.targets import running_target, running_targets
from processes.errors import UsageError
from processes.target import Target

_SEED = 4
_LONGEST_S = 120.0


@flow(name="drill", flow_run_name="drill {collect}")
def drill(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Rehearse what the plan names; returns the record id."""
    return record_measurement(plan, collect, profile, home, DrillCollect, _drill)


def _drill(step: Step[DrillCollect]) -> Measurement:
    return _rollback(step) if step.collect.drill == "rollback" else _external_api(step)


def _rollback(step: Step[DrillCollect]) -> Measurement:
    users, journey, rate = step.collect.users, step.collect.journey, step.collect.rate
    if users is None or journey is None or rate is None:
        raise UsageError(f"{step.name}: a rollback drill needs users, journey and rate")
    with (
        running_targets(step.plan_file, step.work_dir) as (stable, candidate),
        open_router(
            kind=step.plan.router.kind,
            stable_url=stable.url,
            candidate_url=candidate.url,
            salt=step.name,
            work_dir=step.work_dir,
        ) as router,
        traffic(
            router.url,
            locustfile=step.plan_file.resolve(users),
            journey=journey,
            rate_per_s=rate,
            seed=_SEED,
            work_dir=step.work_dir,
            longest_s=_LONGEST_S,
        ) as load,
    ):
        return rehearse_rollback(router, traffic_alive=load.alive, progress=step.progress)


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
        work_dir=step.work_dir,
    )
