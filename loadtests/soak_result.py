"""What a soak showed: its result, outcome and measurement, from the material of its folder alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from decision.objectives import Slo
from decision.quantities import duration_text
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, number, parameter, text
from evidence.results import ClockJump, ControlResult, SoakResult, Trend
from loadtests.load import Limits, limits_of, load_outcome, recorded_limits
from loadtests.samples import Reading, lives_of, longest_life, parse_samples, readings_of
from loadtests.soak_folder import CONTROL_WINDOWS, JOURNAL, SAMPLES, WINDOWS, Material, read_segments
from loadtests.soak_gaps import Placed, find_gaps, longest_gaps, lost_time, place, span_s, under_load_s
from loadtests.soak_journal import Entry, deaths_of, end_of, parse_journal
from loadtests.soak_timeline import jumps_of
from loadtests.trend import judge_trend
from loadtests.windows import Window, sum_windows
from processes.errors import CollectError

_PLOTTED_AT_MOST = 240
_MB = 1e6


@dataclass(frozen=True)
class Soaking:
    """What a soak's result needs besides its material. ``control`` is None without one."""

    target: str
    control: str | None
    target_hours: float
    memory_limit_bytes: float
    limit_per_day: float
    coverage_at_least: float


def measurement_of(material: Material, soaking: Soaking, slo: Slo, **parameters: str | float) -> Measurement:
    """The measurement that a soak's folder holds. Raises CollectError when there is no window in it."""
    result = result_of(material, soaking)
    limits = limits_of(slo)
    outcome, why = outcome_of(result, _ended_why(material), limits)
    started_at, finished_at = _time_of(material)
    left_out = [LeftOut("seconds without load", round(lost.seconds), lost.cause) for lost in result.lost_time]
    if result.samples_missing:
        left_out.append(LeftOut("samples", result.samples_missing, "the source of resources did not answer"))
    if material.damaged:
        left_out.append(LeftOut("lines of windows", material.damaged, "damaged when they were written"))
    contents = {WINDOWS: material.windows, SAMPLES: material.samples, JOURNAL: material.journal}
    if soaking.control is not None:
        contents[CONTROL_WINDOWS] = material.control_windows
    return Measurement(
        result=result,
        outcome=outcome,
        summary=summary_of(result) + (f"; {why}" if outcome != "passed" else ""),
        started_at=started_at,
        finished_at=finished_at,
        parameters={**asdict(soaking), **asdict(limits), **parameters},
        tools={name: version(name) for name in ("locust", "hdrhistogram", "numpy", "scipy")},
        left_out=left_out,
        attachments=[AttachmentContent(name, "application/jsonl", content) for name, content in contents.items()],
    )


def replay_soak(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of a soak again, from its attachments. Raises UnrecordedError and CollectError."""
    control = None if parameter(record, "control") is None else text(record, "control")
    soaking = Soaking(
        target=text(record, "target"),
        control=control,
        target_hours=number(record, "target_hours"),
        memory_limit_bytes=number(record, "memory_limit_bytes"),
        limit_per_day=number(record, "limit_per_day"),
        coverage_at_least=number(record, "coverage_at_least"),
    )
    material = Material(
        windows=attached(attachments, WINDOWS),
        control_windows=b"" if control is None else attached(attachments, CONTROL_WINDOWS),
        samples=attached(attachments, SAMPLES),
        journal=attached(attachments, JOURNAL),
        damaged=0,
    )
    result = result_of(material, soaking)
    return Recomputed(result, outcome_of(result, _ended_why(material), recorded_limits(record))[0])


def outcome_of(result: SoakResult, ended_why: str, limits: Limits) -> tuple[Outcome, str]:
    """The outcome of a soak, and why when it did not pass. The trend has a verdict of its own."""
    if result.ended in ("aborted", "crash-loop"):
        return "failed", ended_why
    if result.target_deaths:
        times = "once" if result.target_deaths == 1 else f"{result.target_deaths} times"
        return "failed", f"the target ended by itself {times}"
    return load_outcome(result.completed, result.held_rate, result.error_rate, result.p95_ms, limits)


def _ended_why(material: Material) -> str:
    end = end_of(parse_journal(material.journal, JOURNAL))
    return end.why if end else ""


def _time_of(material: Material) -> tuple[datetime, datetime]:
    """From first to last window; when the wall clock was set back meanwhile, they are not in the future."""
    entries, placed = parse_journal(material.journal, JOURNAL), placed_windows(material)
    finished_at = datetime.fromtimestamp(min(placed[-1].window.finished_at_s, entries[-1].clocks.wall_s), UTC)
    return finished_at - timedelta(seconds=span_s(placed)), finished_at


def placed_windows(material: Material, *, control: bool = False) -> list[Placed]:
    """The windows that count, on the soak's clock. Raises CollectError for damaged material."""
    entries, samples = parse_journal(material.journal, JOURNAL), parse_samples(material.samples, SAMPLES)
    content, name = (material.control_windows, CONTROL_WINDOWS) if control else (material.windows, WINDOWS)
    placed_by = "control-placed" if control else "segment-placed"
    return place(read_segments(content, name), entries, [sample.at_s for sample in samples], placed_by=placed_by)


def result_of(material: Material, soaking: Soaking) -> SoakResult:
    """The result of a soak, also of one that still goes on. Raises CollectError when there is no window yet."""
    entries, placed = parse_journal(material.journal, JOURNAL), placed_windows(material)
    if not placed:
        raise CollectError(f"the soak of {soaking.target} has no window yet")
    samples = parse_samples(material.samples, SAMPLES)
    windows = [p.window for p in placed]
    readings, began_s = readings_of(samples, "target"), windows[0].started_at_s
    coverage = min(1.0, under_load_s(placed) / span_s(placed)) if span_s(placed) > 0 else None
    controls = readings_of(samples, "control")
    trend = _trend(readings, controls, soaking, began_s, coverage)
    totals, gaps, end = sum_windows(windows), find_gaps(placed, entries), end_of(entries)
    rss = [reading.rss_bytes for _, reading in readings]
    life = longest_life(readings)
    starts = sum(e.event == "target-started" and e.detail["role"] == "target" for e in entries)
    return SoakResult(
        target=soaking.target,
        target_hours=soaking.target_hours,
        hours_under_load=under_load_s(placed) / 3600,
        coverage=coverage,
        ended=end.how if end else "unfinished",
        segments=len({p.segment for p in placed}),
        gaps=longest_gaps(gaps),
        lost_time=lost_time(gaps),
        clock_jumps=[
            ClockJump(at=datetime.fromtimestamp(jump.at_s, UTC), by_s=round(jump.by_s, 3)) for jump in jumps_of(entries)
        ],
        target_restarts=max(0, len(lives_of(readings)) - 1, starts - 1),
        target_deaths=deaths_of(entries, "target"),
        longest_life_hours=(life[-1][0] - life[0][0]) / 3600 if life else 0.0,
        offered=totals.offered,
        completed=totals.completed,
        errors=totals.errors,
        held_rate=totals.held_rate,
        error_rate=totals.error_rate,
        mean_ms=totals.latency.mean_ms,
        p95_ms=totals.latency.p95_ms,
        generator_rss_mb=round(max(w.generator_rss_bytes for w in windows) / _MB, 3),
        generator_cpu=max(w.generator_cpu for w in windows),
        samples=len(samples),
        samples_missing=len(samples) - len(readings),
        memory_ratio=min(1.0, max(rss) / soaking.memory_limit_bytes) if rss else None,
        rss_first_mb=round(rss[0] / _MB, 3) if rss else None,
        rss_last_mb=round(rss[-1] / _MB, 3) if rss else None,
        growth_per_day=trend.growth_per_day,
        verdict=trend.verdict,
        trend=trend,
        control=_control(material, soaking, entries, controls, began_s),
        series=_series(windows, readings),
    )


def _trend(
    readings: Sequence[Reading], controls: Sequence[Reading], soaking: Soaking, began_s: float, coverage: float | None
) -> Trend:
    """The trend of the longest life. Too little of the time under load proves nothing, whatever the samples show."""
    hours, values = _hours_and_mb(longest_life(readings), began_s)
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


def _control(
    material: Material, soaking: Soaking, entries: Sequence[Entry], readings: Sequence[Reading], began_s: float
) -> ControlResult | None:
    if soaking.control is None:
        return None
    placed = placed_windows(material, control=True)
    totals = sum_windows([p.window for p in placed])
    hours, values = _hours_and_mb(longest_life(readings), began_s)
    step = max(1, -(-len(readings) // _PLOTTED_AT_MOST))
    return ControlResult(
        target=soaking.control,
        hours_under_load=under_load_s(placed) / 3600,
        completed=totals.completed,
        error_rate=totals.error_rate,
        p95_ms=totals.latency.p95_ms,
        rss_first_mb=round(readings[0][1].rss_bytes / _MB, 3) if readings else None,
        rss_last_mb=round(readings[-1][1].rss_bytes / _MB, 3) if readings else None,
        growth_per_day=judge_trend(hours, values, limit_per_day=soaking.limit_per_day).growth_per_day,
        deaths=deaths_of(entries, "control"),
        gaps=longest_gaps(find_gaps(placed, entries, control=True)),
        series=[(round(at_s - began_s, 1), round(r.rss_bytes / _MB, 2)) for at_s, r in readings[::step]],
    )


def _series(windows: Sequence[Window], readings: Sequence[Reading]) -> list[tuple[float, float, float | None]]:
    """At most 240 points for plots: seconds since the start, RSS in MB, P95 in ms of the window around the sample."""
    step = max(1, -(-len(readings) // _PLOTTED_AT_MOST))
    began_s, points, index = windows[0].started_at_s, [], 0
    for at_s, reading in readings[::step]:
        while index < len(windows) - 1 and windows[index].finished_at_s < at_s:
            index += 1
        holds = windows[index].started_at_s <= at_s <= windows[index].finished_at_s
        p95_ms = sum_windows([windows[index]]).latency.p95_ms if holds else None
        points.append((round(at_s - began_s, 1), round(reading.rss_bytes / _MB, 2), p95_ms))
    return points


def summary_of(result: SoakResult) -> str:
    """A soak in a line."""
    under_load, wanted = (duration_text(hours * 3600) for hours in (result.hours_under_load, result.target_hours))
    seen = f"{under_load} of {wanted} under load, {result.completed} requests"
    errors = "" if result.error_rate is None else f", {result.error_rate:.2%} errors"
    return f"{seen}{errors}, memory {result.verdict}"
