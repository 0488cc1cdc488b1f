"""A real rollout as the command line sees it: start, tick, orders, evidence, notifications. No Prefect here."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from decision.decide import Decision
from decision.inputs import subject_of
from decision.levels import levels_up_to
from decision.objectives import Stage
from decision.plan_file import PlanFile, read_plan
from evidence.store import EvidenceStore, database_url, open_existing_store
from flows.arm_counters import counters_reader
from flows.authorization import conclude
from flows.notifying import notify
from processes.errors import CollectError, UsageError
from processes.resources import Resources
from rollouts.counters import Reading
from rollouts.exclusive import exclusively
from rollouts.journal import Draft, Entry, Journal
from rollouts.observation import Observation
from rollouts.open_running import open_running
from rollouts.orders import abort, pause, resume
from rollouts.production import is_settled, measurement_of
from rollouts.started import Started, read_started
from rollouts.state import TOLD, State, state_of
from rollouts.tick import tick
from rollouts.tick_store import RolloutRow, TickStore, newest_rollout, start_rollout
from rollouts.triggers import limited_resources
from rollouts.under_way import Rollout, Waits
from telemetry.scrape import scrape

COLLECTOR = "rollout-in-production"
_ORDER_WAITS_S = 30.0


@dataclass(frozen=True)
class Staged:
    """An open rollout: its plan as it is now and as it was when it was started, its ledger and its id."""

    plan_file: PlanFile
    store: EvidenceStore
    rollout_id: str
    started: Started
    rollout: Rollout


@dataclass(frozen=True)
class Ticked:
    """What a tick left: the state, why nothing more happens now, and what it told people (or could not)."""

    state: State
    waits: Waits
    told: tuple[Entry, ...]
    not_told: str | None


@contextmanager
def current_rollout(plan: Path, home: Path) -> Iterator[Staged]:
    """The newest rollout of a plan. Raises UsageError when none was started."""
    plan_file, store = read_plan(plan), open_existing_store(home)
    try:
        row = newest_rollout(store.ledger.engine, plan_file.plan.release)
        if row is None:
            raise UsageError(f"{plan}: no rollout of {plan_file.plan.release} was started (gonogo rollout start)")
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(database_url(home), row.rollout_id))
            started = read_started(journal.entries()[0])
            judge = started.spec.counters
            counters = None if judge is None else stack.enter_context(counters_reader(judge, started.slo))
            rollout = _rollout(plan_file, store, journal, started, counters)
            yield Staged(plan_file, store, row.rollout_id, started, rollout)
    finally:
        store.ledger.close()


def start(plan: Path, home: Path, why: str) -> str:
    """Take up a rollout of the plan's subject; returns its id. No traffic moves before the first tick.

    Raises UsageError when the first stage is not authorized, when another rollout of the release has not ended, and
    when the plan names no running router; ProcessError when that router does not answer.
    """
    plan_file, store = read_plan(plan), open_existing_store(home)
    release, engine = plan_file.plan.release, store.ledger.engine
    try:
        with exclusively(engine, release, wait_s=_ORDER_WAITS_S):
            before = newest_rollout(engine, release)
            if before is not None:
                with Journal(database_url(home), before.rollout_id) as journal:
                    if not state_of(journal.entries()).ended:
                        raise UsageError(f"rollout {before.rollout_id} has not ended (gonogo rollout status)")
            return _start(plan_file, store, why)
    finally:
        store.ledger.close()


def _start(plan_file: PlanFile, store: EvidenceStore, why: str) -> str:
    plan = plan_file.plan
    if plan.rollout.router is None:
        raise UsageError(f"{plan_file.path}: rollout.router is missing: which router runs by itself?")
    subject, first_stage = subject_of(plan_file), plan.rollout.stages[0]
    metrics_path = plan.targets.candidate.metrics
    if metrics_path is None and (limited := limited_resources(plan.slo)):
        names = " and ".join(limited)
        raise UsageError(f"{plan_file.path}: slo limits {names}, and targets.candidate.metrics does not say where from")
    started = Started(subject, plan_file.digest, plan.rollout, plan.schedule, plan.slo, metrics_path)
    if lacking := _lacks(plan_file, store, started, first_stage):
        raise UsageError(f"the rollout cannot be started: {lacking}")
    router = open_running(plan.rollout.router, plan_file.base)
    router.read()
    if plan.rollout.counters is not None:
        with counters_reader(plan.rollout.counters, plan.slo) as read_counters:
            try:
                read_counters()
            except CollectError as error:
                raise UsageError(f"the rollout cannot be started: rollout.judge: {error}") from error
    rollout_id, at = f"{plan.release}-{uuid.uuid4().hex[:12]}", datetime.now(UTC).isoformat()
    row = RolloutRow(rollout_id, plan.release, subject.digest, plan_file.digest, at, notified=0)
    first = Draft("start", first_stage.name, 0, {"why": why, **started.as_detail()})
    start_rollout(store.ledger.engine, row, Observation(cursor=router.end_of_log()), first)
    return rollout_id


def tick_once(staged: Staged) -> Ticked:
    """One tick, and what belongs to it: evidence when the rollout has ended, and notifications.

    Raises AnotherAtWork at once when another process works on this rollout.
    """
    rollout = staged.rollout
    with exclusively(rollout.journal.engine, staged.rollout_id):
        state, waits = tick(rollout)
        if state.ended and not state.recorded and is_settled(rollout, state):
            _record(staged)
            state = state_of(rollout.journal.entries())
        told, not_told = _notify(staged)
    return Ticked(state, waits, told, not_told)


def order(staged: Staged, what: str, why: str, *, despite_irreversible: bool = False) -> None:
    """Write a person's order into the journal. Raises UsageError when it makes no sense now, AnotherAtWork."""
    with exclusively(staged.rollout.journal.engine, staged.rollout_id, wait_s=_ORDER_WAITS_S):
        match what:
            case "pause":
                pause(staged.rollout, why)
            case "resume":
                resume(staged.rollout, why)
            case _:
                abort(staged.rollout, why, despite_irreversible=despite_irreversible)


def _rollout(
    plan_file: PlanFile,
    store: EvidenceStore,
    journal: Journal,
    started: Started,
    counters: Callable[[], Reading] | None,
) -> Rollout:
    router = open_running(started.router, plan_file.base)
    return Rollout(
        journal=journal,
        store=TickStore(journal.engine, journal.rollout_id),
        router=router,
        lease_s=started.router.lease,
        spec=started.spec,
        schedule=started.schedule,
        slo=started.slo,
        lacks=lambda stage: _lacks(plan_file, store, started, stage),
        resources=resources_of_candidate(started),
        now=lambda: datetime.now(UTC),
        counters=counters,
    )


def _lacks(plan_file: PlanFile, store: EvidenceStore, started: Started, stage: Stage) -> str | None:
    """What the authorization of a stage lacks, on this very subject; None when it is authorized now."""
    level = stage.asks_for()
    decision = conclude(plan_file, store, level=level).decision
    if decision.subject != started.subject.digest:
        then, now = started.subject.digest[-12:], decision.subject[-12:]
        return f"the subject is another one now ({now}) than the one that is rolled out ({then})"
    if decision.decision not in ("GO", "CONDITIONAL GO"):
        return _why_not(decision)
    role = stage.approval
    signed = [a for a in decision.approvals if a.level == level and a.role == role and a.status == "signed"]
    if role is not None and not signed:
        return f"awaiting approval of {plan_file.plan.people[role].name} ({role}) for level {level}"
    return None


def _why_not(decision: Decision) -> str:
    level = decision.requested_level
    missing = [a for a in decision.approvals_missing if a.level in levels_up_to(level)]
    if decision.lacks_only_signatures and missing:
        return "awaiting approval of " + ", ".join(f"{a.person} ({a.role}) for level {a.level}" for a in missing)
    what = "; ".join(decision.blocking) or "refused, or a record does not verify"
    return f"{decision.decision} for level {level}: {what} (gonogo authorize)"


def resources_of_candidate(started: Started) -> Callable[[], Resources | None]:
    """Reads what the candidate uses from its metrics; None when it does not say, or what it says is no number."""
    path, url = started.metrics_path, started.router.candidate_url

    def read() -> Resources | None:
        if path is None or url is None:
            return None
        try:
            metrics = scrape(url + path)
        except CollectError:
            return None
        rss, cpu = metrics.total("process_resident_memory_bytes"), metrics.total("process_cpu_seconds_total")
        began_s = metrics.total("process_start_time_seconds")
        if rss is None or cpu is None or began_s is None:
            return None
        return Resources(0, began_s, int(rss), cpu, open_files=0, threads=0, connections=0)

    return read


def _record(staged: Staged) -> None:
    """Sign the evidence of an ended rollout into the ledger, once."""
    rollout = staged.rollout
    records, _ = staged.store.records(staged.started.subject.digest)
    if not any(r.parameters.get("rollout_id") == staged.rollout_id for r in records):
        measurement = measurement_of(rollout, staged.rollout_id, {"router": rollout.router.kind})
        if measurement is not None:
            inputs = {"plan": f"sha256:{staged.started.plan_digest}"}
            staged.store.record(staged.started.subject, COLLECTOR, inputs, measurement)
    state = state_of(rollout.journal.entries())
    draft = Draft("record", "", state.at_most)
    rollout.journal.append([draft], at=rollout.now(), after=state.number)


def _notify(staged: Staged) -> tuple[tuple[Entry, ...], str | None]:
    """Tell people of every change once; what could not be told is told again by the next tick."""
    rollout, last = staged.rollout, staged.rollout.store.notified()
    new = [entry for entry in rollout.journal.entries() if entry.number > last]
    told: list[Entry] = []
    for entry in new:
        if entry.action in TOLD:
            title = f"{staged.plan_file.plan.release}: {entry.action} at stage {entry.stage}"
            failed = notify(staged.plan_file.plan.notify, title, str(entry.detail.get("why", "")))
            if failed is not None:
                return tuple(told), failed
            told.append(entry)
        rollout.store.notified(entry.number)
    return tuple(told), None
