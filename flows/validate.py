"""The flow that runs test suites."""

from pathlib import Path

from prefect import flow

from collectors.test_suite import run_test_suite
from decision.collect import TestSuiteCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from processes.errors import UsageError


@flow(name="validate", flow_run_name="validate {collect}")
def validate(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Run one test suite of the plan in a subprocess and record its totals; returns the record id."""
    return record_measurement(plan, collect, profile, home, TestSuiteCollect, _run)


def _run(step: Step[TestSuiteCollect]) -> Measurement:
    if step.collect.run is None:
        raise UsageError(f"{step.name}: its results are added from files: gonogo evidence add")
    return run_test_suite(
        step.collect.run,
        cwd=step.plan_file.resolve(step.collect.cwd),
        work_dir=step.work_dir,
        timeout_s=step.collect.timeout,
        junit=step.collect.junit,
    )
