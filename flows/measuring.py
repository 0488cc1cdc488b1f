"""What every measuring flow does around its measurement: inputs before and after, work folder, signature, ledger."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from decision.inputs import inputs_of, json_digest, subject_of
from decision.plan import Plan
from decision.plan_file import PlanFile, read_plan
from decision.plan_parts import Profile
from evidence.measurement import Measurement
from evidence.record import Subject
from evidence.store import open_store
from flows.progress import report_progress
from processes.errors import CollectError, UsageError

C = TypeVar("C")


@dataclass(frozen=True)
class Step(Generic[C]):
    """One measurement to make. ``work_dir`` survives an interrupted run and is removed after a recorded one.

    ``subject`` and ``inputs`` are what it depends on, as it was when the measurement began.
    """

    plan_file: PlanFile
    name: str
    collect: C
    profile: Profile
    work_dir: Path
    home: Path
    subject: Subject
    inputs: dict[str, str]

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.plan_file.plan

    def progress(self, done: float | None, text: str) -> None:
        """Tell how far the measurement is; None: something happened meanwhile."""
        report_progress(self.name, None if done is None else min(done, 0.999), text)

    def check(self) -> None:
        """Raise CollectError when something that the measurement depends on has changed since it began."""
        if (self.subject.digest, self.inputs) != (
            subject_of(self.plan_file).digest,
            inputs_of(self.plan_file, self.name),
        ):
            raise CollectError(f"{self.name}: the subject or an input changed while it was measured")


def record_measurement(
    plan: Path, name: str, profile: str, home: Path, collect_type: type[C], measure: Callable[[Step[C]], Measurement]
) -> str:
    """Make one measurement, sign it into the ledger and return its record id.

    Raises UsageError for a wrong name, CollectError when an input changed while it was measured, and whatever
    GonogoError the measurement raises.
    """
    step = step_of(plan, name, profile, home, collect_type)
    step.work_dir.mkdir(parents=True, exist_ok=True)
    report_progress(name, 0.0, "starts")
    measurement = measure(step)
    step.check()
    store = open_store(home)
    try:
        record = store.record(step.subject, name, step.inputs, measurement)
    finally:
        store.ledger.close()
    shutil.rmtree(step.work_dir)
    report_progress(name, 1.0, f"{measurement.outcome}: {measurement.summary}")
    return record.record_id


def step_of(plan: Path, name: str, profile: str, home: Path, collect_type: type[C]) -> Step[C]:
    """What is to be measured; nothing is made yet. Raises UsageError for a wrong name."""
    plan_file = read_plan(plan)
    collect = plan_file.plan.collect.get(name)
    if not isinstance(collect, collect_type):
        raise UsageError(f"{plan}: collect has no {name!r} of the kind that this flow measures")
    subject, inputs = subject_of(plan_file), inputs_of(plan_file, name)
    # An interrupted measurement goes on only where everything that it depends on is still the same.
    work_dir = home / "work" / f"{name}-{subject.digest[-12:]}-{json_digest(inputs)[-12:]}-{profile}"
    return Step(plan_file, name, collect, profile_of(plan_file, profile), work_dir, home, subject, inputs)


def profile_of(plan_file: PlanFile, name: str) -> Profile:
    """A profile of the plan by name. Raises UsageError."""
    profiles = plan_file.plan.profiles
    if name not in profiles:
        raise UsageError(f"{plan_file.path}: there is no profile {name!r}; there are {', '.join(profiles)}")
    return profiles[name]
