"""Where a soak stands, from its folder alone, whether or not anybody runs it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from decision.quantities import duration_text
from evidence.soak_result import SoakNight, SoakResult
from loadtests.soak_folder import Material
from loadtests.soak_gaps import BETWEEN_SEGMENTS, NOT_SERVED, RATE_NOT_HELD
from loadtests.soak_journal import Entry, end_of
from loadtests.soak_nights import EarlierNights
from loadtests.soak_result import Soaking, load_text, nights_of, result_of
from loadtests.soak_timeline import timeline_of
from processes.clocks import Clocks
from processes.lock import Holder

State = Literal["running", "interrupted", "finished, not recorded"]


@dataclass(frozen=True)
class SoakStatus:
    """Where a soak stands.

    ``result`` is that of what was measured so far, None before the first window, with the earlier nights that it adds
    up; ``earlier_unknown`` says why these could not be read. ``why`` says how it was interrupted or how it ended.
    ``needed_hours`` is the time under load that this night still needs, ``takes_hours`` how long that takes with the
    pauses between segments; ``expected_at`` is the clock time when it is over, None while nobody runs it.
    """

    state: State
    holder: Holder | None
    why: str
    result: SoakResult | None
    earlier_unknown: str
    needed_hours: float
    takes_hours: float
    expected_at: datetime | None


def status_of(
    material: Material, soaking: Soaking, holder: Holder | None, now: Clocks, earlier: EarlierNights | str = ""
) -> SoakStatus:
    """The status of a soak that has begun, at the moment ``now``; ``earlier`` nights, or why they could not be read.

    The time still needed is that of the present night. Raises CollectError for a damaged folder.
    """
    added, unknown = (EarlierNights(), earlier) if isinstance(earlier, str) else (earlier, "")
    nights = nights_of(material, added)
    entries, result = nights[-1].entries, result_of(nights, soaking) if nights[-1].placed else None
    end = end_of(entries)
    loaded_hours = result.nights[-1].hours_under_load if result else 0.0
    needed_hours = 0.0 if end else max(0.0, soaking.target_hours - loaded_hours)
    takes_hours = needed_hours * _hours_for_one(result)
    state: State = "finished, not recorded" if end else "running" if holder else "interrupted"
    return SoakStatus(
        state=state,
        holder=holder,
        why=end.why if end else "" if holder else interrupted_why(entries, now),
        result=result,
        earlier_unknown=unknown,
        needed_hours=needed_hours,
        takes_hours=takes_hours,
        expected_at=datetime.fromtimestamp(now.wall_s + takes_hours * 3600, UTC) if state == "running" else None,
    )


def interrupted_why(entries: Sequence[Entry], now: Clocks) -> str:
    """Why nobody runs the soak, and for how long nobody has."""
    last = entries[-1]
    since = datetime.fromtimestamp(timeline_of(entries).at(last.clocks), UTC)
    known = f"last heard of {since:%Y-%m-%d %H:%M:%S} UTC"
    if last.event == "runner-ended":
        return f"{last.detail['why']}; {known}"
    if last.clocks.boot_id != now.boot_id:
        return f"the machine was restarted; {known}"
    return f"its runner was killed; {known}"


def _hours_for_one(result: SoakResult | None) -> float:
    """Hours that one hour under load takes, by what its segments lost so far; interruptions do not come by plan."""
    if result is None or not result.hours_under_load:
        return 1.0
    lost = sum(
        entry.seconds for entry in result.lost_time if entry.cause in (BETWEEN_SEGMENTS, RATE_NOT_HELD, NOT_SERVED)
    )
    return 1 + lost / 3600 / result.hours_under_load


def status_json(status: SoakStatus) -> Mapping[str, Any]:
    """The status as JSON values."""
    return {
        **asdict(status),
        "holder": None if status.holder is None else {"pid": status.holder.pid, "since": status.holder.since},
        "result": None if status.result is None else status.result.model_dump(mode="json"),
    }


def status_lines(status: SoakStatus) -> list[str]:
    """The status for a person."""
    lines = [_line("state", status.state + (f" by {status.holder}" if status.holder else ""))]
    if status.why:
        lines.append(_line("why", status.why))
    r = status.result
    if r is None:
        lines.append(_line("under load", "nothing yet"))
    else:
        lines += result_lines(r)
    if status.earlier_unknown:
        lines.append(_line("nights", f"earlier ones could not be read: {status.earlier_unknown}"))
    if status.state != "finished, not recorded":
        lines.append(_line("still needed", f"{_hours(status.needed_hours)} under load"))
        if status.expected_at:
            lines.append(_line("answer", f"expected at {status.expected_at:%Y-%m-%d %H:%M} UTC"))
        else:
            lines.append(_line("answer", f"expected {_hours(status.takes_hours)} after it is resumed"))
    if r and r.trend.needs_hours and r.trend.needs_hours > status.needed_hours:
        lines.append(_line("", f"the trend itself needs about {_hours(r.trend.needs_hours)} more for an answer"))
    return lines


def result_lines(r: SoakResult) -> list[str]:
    """A result, finished or not, for a person."""
    coverage = "unknown" if r.coverage is None else f"{r.coverage:.1%}"
    lines = [
        _line("under load", f"{load_text(r)}, coverage {coverage}"),
        _line("target", f"{_times(r.target_deaths)} ended by itself, {_times(r.target_restarts)} started again"),
        _line("longest life", _hours(r.longest_life_hours)),
        _line("requests", f"{r.completed} completed, {r.errors} errors{_rate(r.error_rate)}, P95 {_ms(r.p95_ms)}"),
        _line("memory", f"{_mb(r.rss_first_mb)} at first, {_mb(r.rss_last_mb)} at last"),
        _line("trend", f"{r.trend.verdict}: {r.trend.why}"),
    ]
    if len(r.nights) > 1:
        lines += [_line("night", f"until {n.finished_at:%Y-%m-%d %H:%M} UTC: {_night(n)}") for n in r.nights]
    if r.samples_missing:
        lines.append(_line("samples", f"{r.samples_missing} of {r.samples} are missing"))
    if r.control is not None:
        c = r.control
        ended = f", {_times(c.deaths)} ended by itself" if c.deaths else ""
        seen = f"{_hours(c.hours_under_load)} under load{_rate(c.error_rate)}, P95 {_ms(c.p95_ms)}"
        lines.append(_line("control", f"{c.target}: {seen}, {_mb(c.rss_last_mb)}{ended}"))
    lines += [_line("gap", f"{duration_text(g.seconds)} in {g.count}: {g.cause}") for g in r.lost_time]
    lines += [_line("clock", f"the wall clock jumped by {j.by_s:+.0f} s at {j.at:%m-%d %H:%M}") for j in r.clock_jumps]
    return lines


def _night(n: SoakNight) -> str:
    ended = "" if n.ended == "complete" else f", {n.ended}"
    deaths = f", the target {_times(n.target_deaths)} ended by itself" if n.target_deaths else ""
    return f"{_hours(n.hours_under_load)} under load{_rate(n.error_rate)}, P95 {_ms(n.p95_ms)}{ended}{deaths}"


def _line(name: str, text: str) -> str:
    return f"{name:<13} {text}"


def _hours(hours: float) -> str:
    return duration_text(hours * 3600) or "0s"


def _times(count: int) -> str:
    return "never" if not count else "once" if count == 1 else f"{count} times"


def _rate(rate: float | None) -> str:
    return "" if rate is None else f" ({rate:.2%})"


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} ms"


def _mb(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f} MB"
