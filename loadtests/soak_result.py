"""What a soak showed: its result, outcome and measurement, from the material of its folder alone."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from decision.objectives import Slo
from decision.quantities import duration_text
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, number, parameter, text
from evidence.soak_result import ClockJump, ControlResult, SoakNight, SoakResult, Trend
from loadtests.load import Limits, limits_of, load_outcome, recorded_limits
from loadtests.samples import Reading, lives_of, longest_life
from loadtests.soak_folder import Material
from loadtests.soak_gaps import find_gaps, longest_gaps, lost_time, span_s, under_load_s
from loadtests.soak_journal import deaths_of
from loadtests.soak_night import Night, night_result, read_night
from loadtests.soak_nights import (
    EarlierNights,
    attach_nights,
    attachments_of,
    left_out_of,
    material_of,
    nights_attached,
)
from loadtests.soak_timeline import jumps_of
from loadtests.trend import judge_trend
from loadtests.windows import sum_windows
from processes.errors import CollectError

_PLOTTED_AT_MOST = 240
_MB = 1e6


@dataclass(frozen=True)
class Soaking:
    """What a soak's result needs besides its material. ``control`` is None without one.

    ``nights_add_up``: earlier recorded nights count too.
    """

    target: str
    control: str | None
    target_hours: float
    memory_limit_bytes: float
    limit_per_day: float
    coverage_at_least: float
    nights_add_up: bool = False


def measurement_of(
    material: Material,
    soaking: Soaking,
    slo: Slo,
    earlier: EarlierNights | None = None,
    **parameters: str | float | None,
) -> Measurement:
    """The measurement that a soak's folder holds, with the ``earlier`` nights that it adds up.

    Raises CollectError when there is no window in the folder.
    """
    earlier = earlier or EarlierNights()
    nights = nights_of(material, earlier)
    result, limits, control = result_of(nights, soaking), limits_of(slo), soaking.control is not None
    outcome, why = outcome_of(result, [night.ended_why for night in nights], limits, earlier)
    left_out = [LeftOut("seconds without load", round(lost.seconds), lost.cause) for lost in result.lost_time]
    if result.samples_missing:
        why_missing = "the source of resources did not answer, or the line was damaged"
        left_out.append(LeftOut("samples", result.samples_missing, why_missing))
    if material.damaged:
        left_out.append(LeftOut("lines of windows", material.damaged, "damaged when they were written"))
    attachments = [
        AttachmentContent(name, "application/jsonl", content)
        for name, content in attachments_of(material, control=control).items()
    ]
    if soaking.nights_add_up:
        attachments += attach_nights(earlier, control=control)
    return Measurement(
        result=result,
        outcome=outcome,
        summary=summary_of(result) + (f"; {why}" if outcome != "passed" else ""),
        started_at=min(night.started_at for night in result.nights),
        finished_at=result.nights[-1].finished_at,
        parameters={**asdict(soaking), **asdict(limits), **parameters},
        tools={name: version(name) for name in ("locust", "hdrhistogram", "numpy", "scipy")},
        left_out=left_out + left_out_of(earlier),
        attachments=attachments,
    )


def replay_soak(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of a soak again, from its attachments. Raises UnrecordedError and CollectError."""
    soaking = Soaking(
        target=text(record, "target"),
        control=None if parameter(record, "control") is None else text(record, "control"),
        target_hours=number(record, "target_hours"),
        memory_limit_bytes=number(record, "memory_limit_bytes"),
        limit_per_day=number(record, "limit_per_day"),
        coverage_at_least=number(record, "coverage_at_least"),
        nights_add_up=bool(parameter(record, "nights_add_up")),
    )
    control = soaking.control is not None
    earlier = nights_attached(attachments, control=control) if soaking.nights_add_up else EarlierNights()
    nights = nights_of(material_of(attachments, control=control), earlier)
    result = result_of(nights, soaking)
    limits = recorded_limits(record)
    return Recomputed(result, outcome_of(result, [night.ended_why for night in nights], limits, earlier)[0])


def nights_of(material: Material, earlier: EarlierNights) -> list[Night]:
    """The nights of a result, oldest first; the present one is the last."""
    before = [read_night(night.material, night.record_id) for night in earlier.counted]
    return [*before, read_night(material)]


def outcome_of(
    result: SoakResult, ended_why: Sequence[str], limits: Limits, earlier: EarlierNights
) -> tuple[Outcome, str]:
    """The outcome of a soak, and why when it did not pass. The trend has a verdict of its own.

    ``ended_why`` says of each night why it ended. A night that failed is not made good by those around it. What was
    stopped before its hours (those of all nights) were reached is inconclusive at best.
    """
    for night, why in zip(result.nights, ended_why, strict=True):
        outcome, failed_why = _outcome_of_night(night, why, limits)
        if outcome == "failed":
            of = "" if night.record_id is None else f"the night until {night.finished_at:%Y-%m-%d %H:%M} UTC failed: "
            return "failed", of + failed_why
    if lost := [night for night in earlier.uncounted if night.failed]:
        return "failed", f"an earlier night failed ({lost[0].record_id[:12]}), and cannot be counted: {lost[0].why}"
    outcome, why = load_outcome(
        result.completed,
        result.held_rate,
        result.error_rate,
        result.p95_ms,
        limits,
        rate_limited=result.rate_limited,
        error_classes=result.error_classes,
    )
    too_short = result.ended == "stopped" and result.hours_under_load < result.target_hours
    if outcome == "passed" and too_short:  # good so far says nothing of the time that is missing
        return "inconclusive", f"it was {ended_why[-1]}"
    return outcome, why


def _outcome_of_night(night: SoakNight, ended_why: str, limits: Limits) -> tuple[Outcome, str]:
    if night.ended in ("aborted", "crash-loop"):
        return "failed", ended_why
    if night.target_deaths:
        times = "once" if night.target_deaths == 1 else f"{night.target_deaths} times"
        return "failed", f"the target ended by itself {times}"
    return load_outcome(
        night.completed, night.held_rate, night.error_rate, night.p95_ms, limits, rate_limited=0, error_classes={}
    )


def result_of(nights: Sequence[Night], soaking: Soaking) -> SoakResult:
    """The result of a soak, also of one that still goes on; the present night is the last.

    Raises CollectError when there is no window yet.
    """
    if not nights[-1].placed:
        raise CollectError(f"the soak of {soaking.target} has no window yet")
    began_s = nights[0].began_s
    windows = [p.window for night in nights for p in night.placed]
    loaded_s, all_s = (sum(of(night.placed) for night in nights) for of in (under_load_s, span_s))
    coverage = min(1.0, loaded_s / all_s) if all_s > 0 else None
    readings = [reading for night in nights for reading in night.readings]
    trend = _trend(nights, soaking, began_s, coverage)
    totals = sum_windows(windows)
    gaps = [gap for night in nights for gap in find_gaps(night.placed, night.entries)]
    rss = [reading.rss_bytes for _, reading in readings]
    life = longest_life(readings)
    samples = sum(len(night.samples) for night in nights)
    by_night = [
        night_result(n, totals if len(nights) == 1 else sum_windows([p.window for p in n.placed])) for n in nights
    ]
    return SoakResult(
        target=soaking.target,
        target_hours=soaking.target_hours,
        hours_under_load=loaded_s / 3600,
        coverage=coverage,
        ended=by_night[-1].ended,
        nights=by_night,
        segments=sum(len({p.segment for p in night.placed}) for night in nights),
        gaps=longest_gaps(gaps),
        lost_time=lost_time(gaps),
        clock_jumps=[
            ClockJump(at=datetime.fromtimestamp(jump.at_s, UTC), by_s=round(jump.by_s, 3))
            for night in nights
            for jump in jumps_of(night.entries)
        ],
        target_restarts=sum(_restarts(night) for night in nights),
        target_deaths=sum(night.target_deaths for night in by_night),
        longest_life_hours=(life[-1][0] - life[0][0]) / 3600 if life else 0.0,
        longest_life_begins_s=round(life[0][0] - began_s, 1) if life else None,
        offered=totals.offered,
        completed=totals.completed,
        errors=totals.errors,
        rate_limited=totals.rate_limited,
        expected_4xx=totals.expected_4xx,
        error_classes=totals.error_classes,
        held_rate=totals.held_rate,
        error_rate=totals.error_rate,
        served_rate=totals.served_rate,
        mean_ms=totals.latency.mean_ms,
        p95_ms=totals.latency.p95_ms,
        generator_rss_mb=round(max(w.generator_rss_bytes for w in windows) / _MB, 3),
        generator_cpu=max(w.generator_cpu for w in windows),
        samples=samples,
        samples_missing=samples - len(readings),
        memory_ratio=max(rss) / soaking.memory_limit_bytes if rss else None,
        rss_first_mb=round(rss[0] / _MB, 3) if rss else None,
        rss_last_mb=round(rss[-1] / _MB, 3) if rss else None,
        growth_per_day=trend.growth_per_day,
        verdict=trend.verdict,
        trend=trend,
        control=_control(nights, soaking, began_s),
        series=_series(nights, began_s),
    )


def _restarts(night: Night) -> int:
    starts = sum(e.event == "target-started" and e.detail["role"] == "target" for e in night.entries)
    return max(0, len(lives_of(night.readings)) - 1, int(starts) - 1)


def _trend(nights: Sequence[Night], soaking: Soaking, began_s: float, coverage: float | None) -> Trend:
    """The trend of the longest life, beside the control in the same night.

    Too little of the time under load proves nothing, whatever the samples show.
    """
    life, controls = max(
        ((longest_life(night.readings), night.control_readings) for night in nights),
        key=lambda found: found[0][-1][0] - found[0][0][0] if found[0] else -1.0,
    )
    hours, values = _hours_and_mb(life, began_s)
    control = _hours_and_mb(longest_life(controls), began_s)
    trend = judge_trend(
        hours,
        values,
        limit_per_day=soaking.limit_per_day,
        control=control if control[0] and soaking.control else None,
        coverage_at_least=soaking.coverage_at_least,
    )
    if coverage is None or coverage < soaking.coverage_at_least:
        shown = "unknown" if coverage is None else f"{coverage:.1%}"
        why = f"coverage {shown} is below {soaking.coverage_at_least:.0%}; {trend.why}"
        return trend.model_copy(update={"verdict": "not-proven", "why": why})
    return trend


def _hours_and_mb(readings: Sequence[Reading], began_s: float) -> tuple[list[float], list[float]]:
    return [(at_s - began_s) / 3600 for at_s, _ in readings], [r.rss_bytes / _MB for _, r in readings]


def _control(nights: Sequence[Night], soaking: Soaking, began_s: float) -> ControlResult | None:
    if soaking.control is None:
        return None
    readings = [reading for night in nights for reading in night.control_readings]
    totals = sum_windows([p.window for night in nights for p in night.control_placed])
    gaps = [gap for night in nights for gap in find_gaps(night.control_placed, night.entries, control=True)]
    hours, values = _hours_and_mb(longest_life(readings), began_s)
    return ControlResult(
        target=soaking.control,
        hours_under_load=sum(under_load_s(night.control_placed) for night in nights) / 3600,
        completed=totals.completed,
        error_rate=totals.error_rate,
        p95_ms=totals.latency.p95_ms,
        rss_first_mb=round(readings[0][1].rss_bytes / _MB, 3) if readings else None,
        rss_last_mb=round(readings[-1][1].rss_bytes / _MB, 3) if readings else None,
        growth_per_day=judge_trend(hours, values, limit_per_day=soaking.limit_per_day).growth_per_day,
        deaths=sum(deaths_of(night.entries, "control") for night in nights),
        gaps=longest_gaps(gaps),
        series=[(round(at_s - began_s, 1), round(r.rss_bytes / _MB, 2)) for at_s, r in _plotted(readings)],
    )


def _plotted(readings: Sequence[Reading]) -> Sequence[Reading]:
    return readings[:: max(1, -(-len(readings) // _PLOTTED_AT_MOST))]


def _series(nights: Sequence[Night], began_s: float) -> list[tuple[float, float, float | None]]:
    """At most 240 points for plots: seconds since the start, RSS in MB, P95 in ms of the window around the sample."""
    windows = [p.window for night in nights for p in night.placed]
    ends_s, points = [w.finished_at_s for w in windows], []
    for at_s, reading in _plotted([reading for night in nights for reading in night.readings]):
        around = windows[min(bisect_left(ends_s, at_s), len(windows) - 1)]
        holds = around.started_at_s <= at_s <= around.finished_at_s
        p95_ms = sum_windows([around]).latency.p95_ms if holds else None
        points.append((round(at_s - began_s, 1), round(reading.rss_bytes / _MB, 2), p95_ms))
    return points


def summary_of(result: SoakResult) -> str:
    """A soak in a line."""
    errors = "" if result.error_rate is None else f", {result.error_rate:.2%} errors"
    limited = f", {result.rate_limited} refused with 429" if result.rate_limited else ""
    return f"{load_text(result)} under load, {result.completed} requests{errors}{limited}, memory {result.verdict}"


def load_text(result: SoakResult) -> str:
    """How long it was under load: of the time that it was to be, or in how many nights."""
    under_load, wanted = (duration_text(hours * 3600) for hours in (result.hours_under_load, result.target_hours))
    nights = len(result.nights)
    return f"{under_load} of {wanted}" if nights == 1 else f"{under_load} in {nights} nights"
