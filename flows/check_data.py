"""The flow that checks data quality."""

from pathlib import Path

from prefect import flow

from decision.collect import DataQualityCollect
from evidence.measurement import Measurement
from expectations.runner import check_data as run_suite
from flows.measuring import Step, record_measurement


@flow(name="check-data", flow_run_name="check-data {collect}")
def check_data(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Validate one dataset of the plan with Great Expectations; returns the record id."""
    return record_measurement(plan, collect, profile, home, DataQualityCollect, _check)


def _check(step: Step[DataQualityCollect]) -> Measurement:
    return run_suite(step.collect.suite, step.plan_file.resolve(step.collect.data), work_dir=step.work_dir)
