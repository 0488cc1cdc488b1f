"""The flow that rehearses the plan's rollout on live traffic."""

from pathlib import Path

from prefect import flow

from decision.collect_rollout import RolloutCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.routed_traffic import TrafficSpec, rehearse_plan, routed_traffic


@flow(name="rollout", flow_run_name="rollout {collect}")
def rollout(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Take the candidate through all stages, or back, as the judge decides; returns the record id."""
    return record_measurement(plan, collect, profile, home, RolloutCollect, _rehearse)


def _rehearse(step: Step[RolloutCollect]) -> Measurement:
    load = TrafficSpec(step.collect.users, step.collect.journey, step.collect.rate)
    salt = step.plan.rollout.stages[0].salt
    with routed_traffic(step, load, salt=salt, longest_s=step.collect.timeout + 60) as routed:
        return rehearse_plan(step, routed, timeout_s=step.collect.timeout)
