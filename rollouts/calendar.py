"""When a share may grow: minimum times, stated dates, working hours and freezes. Pure.

Rollbacks know no calendar. Durations are elapsed time; hours of the day are those of the wall clocks of a zone, so that
a change to or from summer time moves them against UTC and no stage becomes an hour shorter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from decision.objectives import Stage
from decision.rollout_spec import Windows, WorkingHours, parse_time_of_day
from decision.schedule import Schedule, time_of

_MOST_STEPS = 1000


@dataclass(frozen=True)
class MayPromote:
    """Whether a share may grow now; if not why, and when it may (None: at no time that can be told)."""

    now: bool
    why: str
    next_at: datetime | None


def may_promote(
    now: datetime, windows: Windows, *, earliest: datetime | None = None, because: str = "the schedule"
) -> MayPromote:
    """Whether a share may grow at ``now`` (aware), not before ``earliest`` (aware) ``because`` of what it says."""
    at, why = now.astimezone(UTC), ""
    if earliest is not None and earliest > at:
        at, why = earliest.astimezone(UTC), f"{because}: not before {_minute(earliest)}"
    for _ in range(_MOST_STEPS):
        moved = _moved(at, windows)
        if moved is None:
            return MayPromote(not why, why, at)
        at, said = moved
        why = why or said
    return MayPromote(False, why, None)


def earliest_promotion(
    stage: Stage, schedule: Schedule, *, current: Stage | None, began_at: datetime | None
) -> tuple[datetime | None, str]:
    """The first time at which ``stage`` may follow ``current``, which began then, and what it comes from.

    The first stage (``current`` None) begins with the deployment at the earliest.
    """
    bounds: list[tuple[datetime, str]] = []
    if stage.not_before is not None and (at := time_of(stage.not_before, schedule)) is not None:
        bounds.append((at, f"stage {stage.name} begins at {stage.not_before}"))
    elif current is None:
        bounds.append((schedule.deploy, "the deployment's time"))
    if current is not None and began_at is not None:
        bounds.append((began_at + timedelta(seconds=current.minimum), f"the minimum time of stage {current.name}"))
    return max(bounds, default=(None, ""), key=lambda bound: bound[0])


def reviews_between(after: datetime, until: datetime, windows: Windows, schedule: Schedule) -> Iterator[datetime]:
    """The reviews that were due after ``after`` and until ``until`` (aware), in their order; two weeks at most."""
    after = max(after, until - timedelta(days=14))
    due: set[datetime] = set()
    for review in windows.reviews:
        hour = parse_time_of_day(review)
        if hour is None:
            due |= {at for at in [time_of(review, schedule)] if at is not None}
            continue
        day = after.astimezone(windows.zone).date()
        for ahead in range((until - after).days + 3):
            due.add(_at(day + timedelta(days=ahead), hour, windows.zone))
    yield from sorted(at for at in due if after < at <= until)


def _moved(at: datetime, windows: Windows) -> tuple[datetime, str] | None:
    """The next time that may do, and why this one does not; None when this one does."""
    for freeze in windows.freeze:
        if freeze.begins <= at < freeze.until:
            return freeze.until.astimezone(UTC), f"frozen until {_minute(freeze.until)}: {freeze.why}"
    hours = windows.promote
    if hours is None:
        return None
    opening = _opening(at, hours, windows.zone)
    said = f"outside working hours ({hours.opens:%H:%M} to {hours.closes:%H:%M} {hours.zone})"
    return None if opening == at else (opening, said)


def _opening(at: datetime, hours: WorkingHours, zone: ZoneInfo) -> datetime:
    """``at`` itself inside working hours, otherwise when they next begin (UTC)."""
    day = at.astimezone(zone).date()
    for ahead in range(9):
        one = day + timedelta(days=ahead)
        opens, closes = _at(one, hours.opens, zone), _at(one, hours.closes, zone)
        if one.weekday() in hours.days and at < closes:
            return max(at, opens)
    raise AssertionError("every week has a working day")


def _at(day: date, hour: time, zone: ZoneInfo) -> datetime:
    """A wall-clock time of a day in UTC; one that a change of clocks leaves out is the same moment an hour later."""
    return datetime.combine(day, hour, tzinfo=zone).astimezone(UTC)


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
