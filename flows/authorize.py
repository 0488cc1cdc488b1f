"""The flow that authorizes on a Prefect server, and waits there for the people who must sign.

While signatures are all that is missing the run is Suspended: no process waits. Whoever resumes it gives it what a
person signed on their own machine, for an input of Prefect's authenticates nobody. A resumed run begins at the top, in
a new process: it measures nothing again, takes the newest input into the ledger if it counts, and decides anew.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from prefect import flow, get_run_logger, suspend_flow_run, task
from prefect.cache_policies import INPUTS, RUN_ID
from prefect.client.schemas.objects import State
from prefect.input import RunInput, read_flow_run_input
from prefect.input.run_input import Keyset, keyset_from_paused_state
from prefect.states import Completed, Failed, Suspended

from decision.decide import Decision, next_expiry
from decision.levels import Level
from decision.plan_file import PlanFile, read_plan
from evidence.store import EvidenceStore, open_store
from flows.authorization import pending
from flows.collect import collect
from flows.measuring import profile_of
from flows.publishing import publish, waits_for
from flows.reporting import decide_and_record
from flows.run_log import progress_in_the_log
from flows.signing import accept
from processes.errors import UsageError


class SignedApproval(RunInput):
    """What resumes a run: the output of ``gonogo approve … --print``, or nothing to look into the ledger again."""

    envelope: str = ""


@dataclass(frozen=True)
class Measured:
    """What this run measured, or why it could not; ``reused`` names collectors whose evidence was fresh."""

    began_at: datetime
    failures: dict[str, str]
    reused: tuple[str, ...]


@flow(name="authorize", flow_run_name="authorize {plan} for {level}")
def authorize(plan: Path, level: Level = "full", profile: str = "quick", home: Path = Path(".gonogo")) -> State[None]:
    """Measure what is missing, decide, publish the report, and wait for signatures until the level is decided.

    Ends Completed for GO and CONDITIONAL GO; as NO-GO or HOLD (a failed state) when no signature could help; as
    Failed when evidence became too old before the signatures came.
    """
    plan_file, home = read_plan(plan), home.resolve()
    profile_of(plan_file, profile)
    measured = measure(plan_file.path, profile, home)
    store = open_store(home)
    try:
        asked = _times_asked()
        objection = _take_in(plan_file, store, asked) if asked else None
        decision = _decide(plan_file, store, measured, level, home, objection)
    finally:
        store.ledger.close()
    if decision.lacks_only_signatures:
        suspend_flow_run(
            wait_for_input=SignedApproval.with_initial_data(description=waits_for(plan_file, decision, objection)),
            timeout=_seconds_left(decision),
            key=str(asked + 1),
        )
    word = f"{decision.decision} at level {level}"
    if decision.decision in ("GO", "CONDITIONAL GO"):
        return Completed(message=word)
    return Failed(name=decision.decision, message=f"{word}: {'; '.join(decision.blocking) or 'refused'}")


@task(persist_result=True, cache_policy=INPUTS + RUN_ID)
def measure(plan: Path, profile: str, home: Path) -> Measured:
    """Measure what is missing or stale, once in a run: what is measured later would void what was signed meanwhile."""
    began_at, plan_file, store = datetime.now(UTC), read_plan(plan), open_store(home)
    try:
        missing, fresh = pending(plan_file, store, profile=profile)
    finally:
        store.ledger.close()
    with progress_in_the_log():
        failures = collect(plan, [m.collector for m in missing], profile=profile, home=home) if missing else {}
    return Measured(began_at, failures, tuple(record.collector for record in fresh))


def _times_asked() -> int:
    """How often this run was suspended before."""
    return next(n for n in count() if read_flow_run_input(_keys(n + 1)["schema"]) is None)


def _take_in(plan_file: PlanFile, store: EvidenceStore, asked: int) -> str | None:
    """Take what the run was resumed with into the ledger; returns why it does not count, None when it does."""
    given = read_flow_run_input(_keys(asked)["response"]) or {}
    envelope = SignedApproval.model_validate(given).envelope.strip()
    if not envelope:
        return None
    try:
        accepted = accept(plan_file, store, envelope.encode("utf-8", errors="replace"))
    except UsageError as error:
        get_run_logger().warning("The input was not accepted: %s", error)
        return str(error)
    said = "accepted" if accepted.new else "already in the ledger"
    get_run_logger().info("%s: %s; record %s", said, accepted.record.summary, accepted.record.record_id)
    return None


def _keys(number: int) -> Keyset:
    """Where Prefect keeps the schema of the n-th suspension's input, and the input itself."""
    return keyset_from_paused_state(Suspended(pause_key=str(number)))


def _decide(
    plan_file: PlanFile, store: EvidenceStore, measured: Measured, level: Level, home: Path, objection: str | None
) -> Decision:
    """Decide on what the ledger holds now; record and publish the decision."""
    decided = decide_and_record(
        plan_file,
        store,
        level=level,
        failures=measured.failures,
        reused=measured.reused,
        began_at=measured.began_at,
        home=home,
    )
    publish(plan_file, decided.decision, decided.text, objection)
    return decided.decision


def _seconds_left(decision: Decision) -> int | None:
    """How long a signature could still help: until the first of the level's evidence becomes too old."""
    ends = next_expiry(decision)
    return max(1, int((ends - decision.decided_at).total_seconds())) if ends else None
