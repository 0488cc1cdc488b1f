"""The flow that measures documents."""

from pathlib import Path

from prefect import flow

from collectors.documentation import check_documents as measure_documents
from decision.collect import DocumentationCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement


@flow(name="check-documents", flow_run_name="check-documents {collect}")
def check_documents(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Measure the plan's documents; returns the record id."""
    return record_measurement(plan, collect, profile, home, DocumentationCollect, _check)


def _check(step: Step[DocumentationCollect]) -> Measurement:
    return measure_documents(step.collect.documents, base=step.plan_file.base)
