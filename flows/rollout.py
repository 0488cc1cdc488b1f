"""The flow that rehearses the plan's rollout on live traffic."""

from pathlib import Path

from loadtests.traffic import traffic
from prefect import flow
from rollouts.open_router import open_router
from rollouts.rehearsal import rehearse

from decision.collect import RolloutCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.targets import running_targets

_SEED = 5
_STAGE_MINIMUM_S = 20.0


@flow(name="rollout", flow_run_name="rollout {collect}")
def rollout(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Take the candidate through all stages, or back, as the judge decides; returns the record id."""
    return record_measurement(plan, collect, profile, home, RolloutCollect, _rehearse)


def _rehearse(step: Step[RolloutCollect]) -> Measurement:
    stages = step.plan.rollout.stages
    with (
        running_targets(step.plan_file, step.work_dir) as (stable, candidate),
        open_router(
            kind=step.plan.router.kind,
            stable_url=stable.url,
            candidate_url=candidate.url,
            salt=stages[0].salt,
            work_dir=step.work_dir,
        ) as router,
        traffic(
            router.url,
            locustfile=step.plan_file.resolve(step.collect.users),
            journey=step.collect.journey,
            rate_per_s=step.collect.rate,
            seed=_SEED,
            work_dir=step.work_dir,
            longest_s=step.collect.timeout + 60,
        ) as load,
    ):
        return rehearse(
            router,
            stable=stable,
            candidate=candidate,
            stages=stages,
            stage_minimum_s=step.profile.stage_minimum or _STAGE_MINIMUM_S,
            slo=step.plan.slo,
            budget=step.plan.rollout.false_rollback_budget,
            database_url=f"sqlite:///{step.work_dir / 'rollout.sqlite'}",
            rollout_id=step.name,
            timeout_s=step.collect.timeout,
            progress=step.progress,
            traffic_alive=load.alive,
        )
