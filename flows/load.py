"""The flow that loads one target at a stated arrival rate."""

from pathlib import Path

from prefect import flow

from decision.collect import LoadCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.targets import running_target
from loadtests.load import run_load
from loadtests.schedule import Shape, constant, staged

_SEED = 20251022
"""Of the arrival schedule and of user ids: the same in every run, so that runs can be compared."""


@flow(name="load", flow_run_name="load {collect}")
def load(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Load a fresh target for the profile's time or in its stages; returns the record id."""
    return record_measurement(plan, collect, profile, home, LoadCollect, _load)


def _load(step: Step[LoadCollect]) -> Measurement:
    asked = step.collect
    with running_target(step.plan_file, asked.target, step.work_dir) as target:
        return run_load(
            target,
            locustfile=step.plan_file.resolve(asked.users),
            journey=asked.journey,
            shape=_shape(asked, step.profile.load),
            seed=_SEED,
            slo=step.plan.slo,
            work_dir=step.work_dir,
            progress=step.progress,
            workers=asked.workers,
            remote_workers=asked.remote_workers,
            bind=asked.bind or "127.0.0.1:0",
        )


def _shape(asked: LoadCollect, profile_s: float) -> Shape:
    if asked.rate is not None:
        return constant(asked.rate, profile_s)
    return staged([(stage.to, stage.over) for stage in asked.stages], at_most_s=profile_s)
