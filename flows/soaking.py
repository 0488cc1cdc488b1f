"""Start, resume, stop and look at a soak. No Prefect here: three days need no orchestrator to stay up."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from decision.collect import SoakCollect, TargetName
from decision.plan_file import read_plan
from evidence.measurement import Measurement
from evidence.record import Record
from evidence.soak_result import SoakResult
from evidence.store import open_existing_store, open_store
from flows.authorization import pending
from flows.earlier_nights import earlier_nights, own_windows
from flows.measuring import Step, step_of
from flows.progress import report_progress
from flows.resources import check_is_server, resources_reader
from flows.targets import running_target
from loadtests.soak import end_for_good, run_soak
from loadtests.soak_folder import JOURNAL, LOCK, Material, read_journal, read_material
from loadtests.soak_journal import end_of
from loadtests.soak_night import read_night
from loadtests.soak_nights import EarlierNights
from loadtests.soak_result import Soaking, measurement_of
from loadtests.soak_run import SEED_OF_SEGMENT, Soak
from loadtests.soak_status import SoakStatus, status_of
from loadtests.soak_stop import ask_to_stop, user
from processes.clocks import read_clocks
from processes.errors import CollectError, GonogoError, UsageError, first_line
from processes.lock import holder_of, holding
from processes.target import Target
from processes.wait import wait_for

_SEED = 72
_TARGETS: dict[str, TargetName] = {"stable": "stable", "candidate": "candidate"}
_STOPS_WITHIN_S = 300.0

SoakStep = Step[SoakCollect]

Stopped = Literal["stopped", "it ended", "nobody ran it"]
"""What a request to stop came to: a soak that ended meanwhile, as it may at any time, was not stopped."""


def soak_step(plan: Path, collect: str | None, profile: str, home: Path) -> SoakStep:
    """The soak of a plan; its only one when none is named. Raises UsageError."""
    if collect is None:
        names = [name for name, item in read_plan(plan).plan.collect.items() if isinstance(item, SoakCollect)]
        if len(names) != 1:
            which = f"which of {', '.join(names)}? (--collect)" if names else "the plan collects no soak"
            raise UsageError(f"{plan}: {which}")
        collect = names[0]
    return step_of(plan, collect, profile, home, SoakCollect)


def start_soak(step: SoakStep, *, profile: str, again: bool) -> Record:
    """Soak from the beginning, and record. Raises UsageError when one is unfinished, or a finished one is fresh."""
    with _held(step, make=True):
        if read_journal(step.work_dir):
            raise UsageError(f"{step.name}: there is an unfinished soak, begun {_began(step)} (gonogo soak resume)")
        if not again and (fresh := _fresh(step, profile)):
            raise UsageError(
                f"{step.name}: a finished soak is fresh: {fresh.record_id[:12]} of {fresh.finished_at:%Y-%m-%d} UTC, "
                f"{fresh.outcome}: {fresh.summary} (--again soaks once more)"
            )
        return _soak_and_record(step)


def resume_soak(step: SoakStep) -> Record:
    """Go on with an unfinished soak, and record; one that is only not recorded yet is recorded. Raises UsageError."""
    with _held(step, make=False):
        if not read_journal(step.work_dir):
            raise _no_soak(step)
        return _soak_and_record(step)


def start_or_resume(step: SoakStep) -> Record:
    """What a flow does: an orchestrator that runs it again after an interruption means the same soak."""
    with _held(step, make=True):
        return _soak_and_record(step)


def stop_soak(step: SoakStep) -> Stopped:
    """Ask whoever runs the soak to stop, and wait for the end of it.

    Raises ProcessError when it has not ended within five minutes.
    """
    lock = step.work_dir / LOCK
    asked: list[str] = []

    def over() -> bool:
        holder = holder_of(lock)
        if holder is None or holder.pid is None:  # without a pid it is just taking the lock
            return holder is None
        if not asked:
            asked.append(str(holder))
            ask_to_stop(step.work_dir)
        return str(holder) != asked[0]  # somebody else goes on with it meanwhile

    if over():
        return "nobody ran it"
    wait_for(over, what="the end of the soak", timeout_s=_STOPS_WITHIN_S, interval_s=0.2)
    entries = read_journal(step.work_dir)
    return "stopped" if entries and end_of(entries) is None else "it ended"


def record_stopped(step: SoakStep) -> Record:
    """End an unfinished soak for good, and record what was measured with its true length. Raises UsageError."""
    with _held(step, make=False):
        entries = read_journal(step.work_dir)
        if not entries:
            raise _no_soak(step)
        if not read_material(step.work_dir).windows:
            raise UsageError(f"{step.name}: nothing was under load yet: there is nothing to be recorded")
        return _end_and_record(step, f"ended for good by {user()}")


def record_unfinished(step: SoakStep) -> Record | None:
    """Record what an earlier night has left unfinished, so that a new one begins: a night goes on in no other.

    None when nothing was left, or nothing of it was under load; that is removed. Raises HeldError when somebody is
    at this soak.
    """
    if not step.work_dir.is_dir():
        return None
    with _held(step, make=False):
        if not read_journal(step.work_dir):
            return None
        if not read_night(read_material(step.work_dir)).placed:
            step.progress(None, f"the soak begun {_began(step)} brought no load; a new one begins")
            shutil.rmtree(step.work_dir)
            return None
        return _end_and_record(step, "not finished when the next night began")


def soak_status(step: SoakStep) -> SoakStatus | Record | None:
    """Where the soak stands; the newest record of a finished one when none has begun; None when there is neither."""
    material = read_material(step.work_dir)
    if material.journal:
        read_journal(step.work_dir)  # an error in it names the file
        holder = holder_of(step.work_dir / LOCK)
        return status_of(material, soaking_of(step), holder, read_clocks(), _earlier_to_show(step))
    try:
        store = open_existing_store(step.home)
    except UsageError:
        return None
    try:
        records = store.records(step.subject.digest)[0]
    finally:
        store.ledger.close()
    of_soak = [r for r in records if r.collector == step.name and isinstance(r.result, SoakResult)]
    return max((r for r in of_soak if r.inputs == step.inputs), key=lambda r: r.sequence, default=None)


def _earlier_to_show(step: SoakStep) -> EarlierNights | str:
    """The nights that would be added up now; why not, where the ledger cannot be read: the soak goes on without it."""
    if not step.collect.nights_add_up:
        return EarlierNights()
    try:
        store = open_existing_store(step.home)
        try:
            return earlier_nights(step, store)
        finally:
            store.ledger.close()
    except (GonogoError, OSError) as error:
        return first_line(error)


def soaking_of(step: SoakStep) -> Soaking:
    """What the soak's result needs besides its folder."""
    return Soaking(
        target=step.collect.target,
        control=step.collect.beside,
        target_hours=step.profile.soak / 3600,
        memory_limit_bytes=step.collect.memory_limit,
        limit_per_day=step.collect.limit_per_day,
        coverage_at_least=step.collect.coverage_at_least,
        nights_add_up=step.collect.nights_add_up,
    )


@contextmanager
def _held(step: SoakStep, *, make: bool) -> Iterator[None]:
    """Be the only one at this soak. Raises UsageError, naming who is, when somebody else is."""
    if make:
        step.work_dir.mkdir(parents=True, exist_ok=True)
    elif not step.work_dir.is_dir():
        raise _no_soak(step)
    with holding(step.work_dir / LOCK, f"{step.name}: the soak"):
        yield


def _soak_and_record(step: SoakStep) -> Record:
    report_progress(step.name, 0.0, "starts")
    with resources_reader(step.collect.resources) as read:
        run_soak(
            Soak(
                soaking=soaking_of(step),
                locustfile=step.plan_file.resolve(step.collect.users),
                journey=step.collect.journey,
                rate_per_s=step.collect.rate,
                segment_s=step.collect.segment,
                seed=_SEED,
                slo=step.plan.slo,
                start=lambda name: _soaked_target(step, name),
                read=read,
                check=step.check,
                folder=step.work_dir,
                tell=step.progress,
                workers=step.collect.workers,
            )
        )
    return _record(step)


@contextmanager
def _soaked_target(step: SoakStep, name: str) -> Iterator[Target]:
    """A target, whose process is the server where its memory is to be read there. Raises UsageError, ProcessError."""
    with running_target(step.plan_file, _TARGETS[name], step.work_dir) as target:
        if step.collect.resources == "process":
            check_is_server(target)
        yield target


def _end_and_record(step: SoakStep, why: str) -> Record:
    if end_of(read_journal(step.work_dir)) is None:
        end_for_good(step.work_dir, why)
    return _record(step)


def _record(step: SoakStep) -> Record:
    """Sign the finished soak into the ledger and remove its folder. It stays there when that does not succeed."""
    material = read_material(step.work_dir)
    step.check()
    try:
        store = open_store(step.home)
        try:
            record = _recorded_before(store.records(step.subject.digest)[0], step, material)
            if record is None:
                earlier = earlier_nights(step, store) if step.collect.nights_add_up else None
                measurement = _measurement(step, material, earlier)
                record = store.record(step.subject, step.name, step.inputs, measurement)
        finally:
            store.ledger.close()
    except (GonogoError, OSError) as error:
        raise CollectError(
            f"the soak is finished and not recorded: {first_line(error)}; it is kept in {step.work_dir}, "
            "and gonogo soak resume records it"
        ) from error
    shutil.rmtree(step.work_dir)
    report_progress(step.name, 1.0, f"{record.outcome}: {record.summary}")
    return record


def _measurement(step: SoakStep, material: Material, earlier: EarlierNights | None) -> Measurement:
    return measurement_of(
        material,
        soaking_of(step),
        step.plan.slo,
        earlier,
        journey=step.collect.journey,
        rate_per_s=step.collect.rate,
        segment_s=step.collect.segment,
        seed=_SEED,
        seed_of_segment=SEED_OF_SEGMENT,
        workers=step.collect.workers,
    )


def _recorded_before(records: list[Record], step: SoakStep, material: Material) -> Record | None:
    """The record of this very soak, where the runner was killed between recording it and removing its folder."""
    digest = hashlib.sha256(material.windows).hexdigest()
    return next((r for r in records if r.collector == step.name and own_windows(r) == digest), None)


def _fresh(step: SoakStep, profile: str) -> Record | None:
    """The finished soak that still counts. The ledger is not needed to start: without it nobody knows of any."""
    try:
        store = open_store(step.home)
        try:
            _, fresh = pending(step.plan_file, store, profile=profile)
        finally:
            store.ledger.close()
    except GonogoError as error:
        report_progress(step.name, None, f"starts without the ledger: {first_line(error)}")
        return None
    return next((record for record in fresh if record.collector == step.name), None)


def _began(step: SoakStep) -> str:
    wall_s = read_journal(step.work_dir)[0].clocks.wall_s
    return f"{datetime.fromtimestamp(wall_s, UTC):%Y-%m-%d %H:%M} UTC"


def _no_soak(step: SoakStep) -> UsageError:
    """There is nothing to go on with; unfinished soaks of another subject, inputs or profile are named."""
    others = [p.parent.name for p in (step.home / "work").glob(f"{step.name}-*/{JOURNAL}") if p.parent != step.work_dir]
    named = f" (there is {', '.join(sorted(others))})" if others else ""
    return UsageError(f"{step.name}: there is no unfinished soak of this subject, inputs and profile{named}")
