"""The flow that loads one target at a stated arrival rate."""

from pathlib import Path

from prefect import flow

from decision.collect import LoadCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.targets import running_target
from loadtests.load import run_load

_SEED = 20251022
"""Of the arrival schedule and of user ids: the same in every run, so that runs can be compared."""


@flow(name="load", flow_run_name="load {collect}")
def load(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Load a fresh target for the profile's time; returns the record id."""
    return record_measurement(plan, collect, profile, home, LoadCollect, _load)


def _load(step: Step[LoadCollect]) -> Measurement:
    with running_target(step.plan_file, step.collect.target, step.work_dir) as target:
        return run_load(
            target,
            locustfile=step.plan_file.resolve(step.collect.users),
            journey=step.collect.journey,
            rate_per_s=step.collect.rate,
            duration_s=step.profile.load,
            seed=_SEED,
            slo=step.plan.slo,
            work_dir=step.work_dir,
            progress=step.progress,
        )
