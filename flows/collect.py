"""The flow that measures what an authorization lacks, each collector by a flow of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from decision.plan_file import read_plan
from flows.check_accuracy import check_accuracy
from flows.check_data import check_data
from flows.check_documents import check_documents
from flows.check_monitoring import check_monitoring
from flows.drill import drill
from flows.load import load
from flows.probe import probe
from flows.progress import report_progress
from flows.rollout import rollout
from flows.soak import soak
from flows.validate import validate
from processes.errors import GonogoError, first_line
from processes.supervised import interrupt_other_threads

_FLOW_OF: dict[str, Callable[..., str]] = {
    "test-suite": validate,
    "contract": probe,
    "data-quality": check_data,
    "accuracy": check_accuracy,
    "load": load,
    "soak": soak,
    "drill": drill,
    "monitoring": check_monitoring,
    "documentation": check_documents,
    "rollout": rollout,
}

_NOT_TIMED = frozenset({"test-suite", "data-quality", "accuracy", "documentation"})
"""Kinds that measure no latency: they may share the machine with each other. All others run alone."""


@flow(name="collect", flow_run_name="collect {plan}")
def collect(
    plan: Path, collectors: Sequence[str], profile: str = "quick", home: Path = Path(".gonogo")
) -> dict[str, str]:
    """Measure each of ``collectors``; returns, for those that could not be measured, why."""
    kinds = {name: read_plan(plan).plan.collect[name].kind for name in collectors}
    failures: dict[str, str] = {}

    def measure(name: str) -> None:
        try:
            _FLOW_OF[kinds[name]](plan=plan, collect=name, profile=profile, home=home)
        except GonogoError as error:
            failures[name] = first_line(error)
            report_progress(name, 1.0, f"errored: {failures[name]}")

    # Each synchronous flow run waits about 1 s for its heartbeat thread; these are watched by this process instead.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        _two_at_a_time(measure, [name for name in collectors if kinds[name] in _NOT_TIMED])
        for name in collectors:
            if kinds[name] not in _NOT_TIMED:
                measure(name)
    return failures


def _two_at_a_time(measure: Callable[[str], None], names: Sequence[str]) -> None:
    """Measure in two threads. An interruption reaches the main thread alone: it ends what the threads wait for."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        together = [pool.submit(copy_context().run, measure, name) for name in names]
        try:
            for future in together:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            interrupt_other_threads()
            raise
