"""The flow that a scheduler runs every night: what can go bad by itself is measured again, then the report is made.

It waits for nobody: whose signature is missing stands in the report, and the next authorization reuses its evidence.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from decision.collect import SoakCollect, is_measured_here
from decision.levels import Level
from decision.plan import Plan
from decision.plan_file import PlanFile, read_plan
from evidence.store import open_store
from flows.authorization import pending
from flows.collect import collect
from flows.measuring import profile_of
from flows.progress import report_progress
from flows.publishing import publish
from flows.reporting import decide_and_record
from flows.run_log import progress_in_the_log
from flows.soaking import record_unfinished, soak_step
from processes.errors import GonogoError, first_line

EVERY_NIGHT = frozenset({"data-quality", "test-suite", "soak"})
"""Kinds that are measured although their evidence is fresh: data checks, regression suites, and the soak."""


@flow(name="nightly", flow_run_name="nightly {plan}")
def nightly(plan: Path, level: Level = "full", profile: str = "nightly", home: Path = Path(".gonogo")) -> State[None]:
    """Measure the kinds of every night again, decide for ``level`` and publish the report.

    Ends Completed for GO, CONDITIONAL GO and HOLD, which the message says; as NO-GO, a failed state, when something is
    refuted; as Failed when a collector could not measure, so that nobody takes silence for a good night.
    """
    plan_file, home, began_at = read_plan(plan), home.resolve(), datetime.now(UTC)
    profile_of(plan_file, profile)
    tonight = every_night(plan_file.plan)
    with progress_in_the_log():
        failures = record_earlier_night(plan_file, tonight, profile=profile, home=home)
        measured = [name for name in tonight if name not in failures]
        failures |= collect(plan_file.path, measured, profile=profile, home=home) if measured else {}
    store = open_store(home)
    try:
        _, fresh = pending(plan_file, store, profile=profile)
        decided = decide_and_record(
            plan_file,
            store,
            level=level,
            failures=failures,
            reused=[record.collector for record in fresh if record.collector not in tonight],
            began_at=began_at,
            home=home,
        )
    finally:
        store.ledger.close()
    publish(plan_file, decided.decision, decided.text, None)
    word = f"{decided.decision.decision} at level {level}"
    if decided.decision.decision == "NO-GO":
        return Failed(name="NO-GO", message=f"{word}: {'; '.join(decided.decision.blocking) or 'refused'}")
    if failures:
        return Failed(message=f"{word}; not measured: {'; '.join(f'{n}: {why}' for n, why in failures.items())}")
    return Completed(message=word)


def record_earlier_night(plan_file: PlanFile, tonight: Sequence[str], *, profile: str, home: Path) -> dict[str, str]:
    """Record the soaks that an earlier night has left unfinished; why not, of those that cannot be measured now.

    Without this they would go on tonight, with the day as a gap.
    """
    failures = {}
    for name in tonight:
        if isinstance(plan_file.plan.collect[name], SoakCollect):
            try:
                record_unfinished(soak_step(plan_file.path, name, profile, home))
            except GonogoError as error:
                failures[name] = first_line(error)
                report_progress(name, 1.0, f"errored: {failures[name]}")
    return failures


def every_night(plan: Plan) -> list[str]:
    """The collectors of a plan that are measured every night, in its order: those that a claim needs."""
    needed = {claim.needs for claim in plan.claims}
    return [
        name
        for name, collector in plan.collect.items()
        if name in needed and collector.kind in EVERY_NIGHT and is_measured_here(collector)
    ]
