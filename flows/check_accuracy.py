"""The flow that measures accuracies."""

from pathlib import Path

from prefect import flow

from collectors.accuracy import run_accuracy
from decision.collect import AccuracyCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement


@flow(name="check-accuracy", flow_run_name="check-accuracy {collect}")
def check_accuracy(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Compare methods of the plan on the same cases, in a subprocess; returns the record id."""
    return record_measurement(plan, collect, profile, home, AccuracyCollect, _run)


def _run(step: Step[AccuracyCollect]) -> Measurement:
    return run_accuracy(
        step.collect.run,
        candidate=step.collect.candidate,
        baseline=step.collect.baseline,
        cwd=step.plan_file.resolve(step.collect.cwd),
        work_dir=step.work_dir,
        timeout_s=step.collect.timeout,
    )
