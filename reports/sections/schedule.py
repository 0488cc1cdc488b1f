"""The plan's dated steps: times computed, what is past said to be past."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from decision.schedule import Schedule, time_of
from reports.formats import distance, minute
from reports.part import Part

Phase = Literal["PRE-DEPLOYMENT", "DEPLOYMENT DAY", "POST-DEPLOYMENT", "UNDATED"]


class DatedStep(Part):
    """One step; ``at`` is its computed time as text."""

    at: str
    distance: str
    past: bool
    does: str


class PhasePart(Part):
    """The steps before, on, or after the day of the deployment (UTC)."""

    phase: Phase
    when: str
    steps: tuple[DatedStep, ...]


def phases(schedule: Schedule, now: datetime) -> tuple[PhasePart, ...]:
    """The steps in order of time, in phases; steps whose time cannot be read come last, as they stand."""
    timed = [(time_of(step.at, schedule), step) for step in schedule.steps]
    known = sorted(((at, step) for at, step in timed if at), key=lambda pair: pair[0])
    found: dict[Phase, list[DatedStep]] = {}
    dates: dict[Phase, list[datetime]] = {}
    for at, step in known:
        until = time_of(step.until, schedule) if step.until else None
        last = until or at
        phase = _phase(at, schedule.deploy)
        dates.setdefault(phase, []).extend((at, last))
        found.setdefault(phase, []).append(
            DatedStep(
                at=f"{minute(at)} to {minute(until)}" if until else minute(at),
                distance=distance(last, now) if last < now else distance(at, now) if at > now else "under way",
                past=last < now,
                does=step.does,
            )
        )
    undated = [DatedStep(at=step.at, distance="", past=False, does=step.does) for at, step in timed if at is None]
    if undated:
        found["UNDATED"] = undated
    order: tuple[Phase, ...] = ("PRE-DEPLOYMENT", "DEPLOYMENT DAY", "POST-DEPLOYMENT", "UNDATED")
    return tuple(
        PhasePart(phase=phase, when=_when(dates.get(phase, ())), steps=tuple(found[phase]))
        for phase in order
        if phase in found
    )


def _phase(at: datetime, deploy: datetime) -> Phase:
    day, deploy_day = at.astimezone(UTC).date(), deploy.astimezone(UTC).date()
    return "DEPLOYMENT DAY" if day == deploy_day else "PRE-DEPLOYMENT" if day < deploy_day else "POST-DEPLOYMENT"


def _when(times: Iterable[datetime]) -> str:
    days = sorted({at.astimezone(UTC).date() for at in times})
    if not days:
        return "no time that can be read"
    return str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
