"""The flow that checks the running candidate's HTTP contract."""

from pathlib import Path

from prefect import flow

from collectors.contract import check_contract
from decision.collect import ContractCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.targets import running_target


@flow(name="probe", flow_run_name="probe {collect}")
def probe(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Check a fresh target against the plan's contract; returns the record id."""
    return record_measurement(plan, collect, profile, home, ContractCollect, _probe)


def _probe(step: Step[ContractCollect]) -> Measurement:
    with running_target(step.plan_file, step.collect.target, step.work_dir) as target:
        return check_contract(target, step.collect.checks)
