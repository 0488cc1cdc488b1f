"""The flow that soaks one target, beside a control where the plan names one."""

from contextlib import ExitStack
from pathlib import Path

from prefect import flow

from decision.collect import SoakCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.targets import running_target, running_targets
from loadtests.soak import run_soak

_SEED = 72


@flow(name="soak", flow_run_name="soak {collect}")
def soak(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Soak for the profile's time; started again after an interruption it goes on. Returns the record id."""
    return record_measurement(plan, collect, profile, home, SoakCollect, _soak)


def _soak(step: Step[SoakCollect]) -> Measurement:
    with ExitStack() as stack:
        if step.collect.control:
            pair = stack.enter_context(running_targets(step.plan_file, step.work_dir))
            by_name = dict(zip(("stable", "candidate"), pair, strict=True))
            target, control = by_name[step.collect.target], by_name[step.collect.control]
        else:
            target = stack.enter_context(running_target(step.plan_file, step.collect.target, step.work_dir))
            control = None
        return run_soak(
            target,
            control=control,
            locustfile=step.plan_file.resolve(step.collect.users),
            journey=step.collect.journey,
            rate_per_s=step.collect.rate,
            target_hours=step.profile.soak / 3600,
            segment_s=step.collect.segment,
            memory_limit_bytes=step.collect.memory_limit,
            limit_per_day=step.collect.limit_per_day,
            seed=_SEED,
            slo=step.plan.slo,
            work_dir=step.work_dir,
            progress=step.progress,
        )
