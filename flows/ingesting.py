"""Results that another system measured, as evidence of a collector of the plan. No Prefect here."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from collectors.test_suite import ingest_results
from decision.collect import TestSuiteCollect
from decision.inputs import inputs_of, subject_of
from decision.plan_file import PlanFile
from evidence.measurement import LeftOut
from evidence.record import Record
from evidence.store import EvidenceStore
from processes.errors import UsageError


def add_results(plan_file: PlanFile, store: EvidenceStore, collector: str, files: Sequence[Path]) -> Record:
    """Record test results from files as evidence of ``collector``. Raises UsageError.

    That they belong to the subject is the word of whoever adds them, and the record says so.
    """
    collect = plan_file.plan.collect.get(collector)
    if not isinstance(collect, TestSuiteCollect) or collect.run is not None:
        added = [n for n, c in plan_file.plan.collect.items() if isinstance(c, TestSuiteCollect) and c.run is None]
        expected = f"expected one of {', '.join(added)}" if added else "the plan has none: a test-suite without run"
        raise UsageError(f"--collector {collector}: is no test suite whose results are added; {expected}")
    measured = ingest_results(files)
    by_hand = LeftOut("how the tests were run", 1, "the results were added from files, on the word of who added them")
    measured = replace(measured, left_out=[*measured.left_out, by_hand])
    return store.record(subject_of(plan_file), collector, inputs_of(plan_file, collector), measured)
