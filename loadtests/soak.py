"""A soak of one target in segments. Only time under load counts, and an interrupted soak goes on where it was.

Windows and samples are files of the work folder: what was written before an interruption counts, and the time until
the soak goes on is a gap.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from decision.objectives import Slo
from decision.quantities import duration_text
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, number, parameter, text
from evidence.results import Gap, SoakResult, Trend
from loadtests.generator import Generator, Load, generating
from loadtests.load import Limits, limits_of, load_outcome, recorded_limits
from loadtests.samples import Sample, append_sample, longest_life, parse_samples, restarts, take_sample
from loadtests.trend import judge_trend
from loadtests.windows import Window, parse_windows, read_windows, sum_windows
from processes.errors import CollectError
from processes.target import Target

_WINDOWS = "windows.jsonl"
_SAMPLES = "samples.jsonl"
_PLOTTED_AT_MOST = 240
_MB = 1e6
_SHORT_S = 600.0


def run_soak(
    target: Target,
    *,
    control: Target | None,
    locustfile: Path,
    journey: str,
    rate_per_s: float,
    target_hours: float,
    segment_s: float,
    memory_limit_bytes: float,
    limit_per_day: float,
    seed: int,
    slo: Slo,
    work_dir: Path,
    progress: Callable[[float, str], None],
) -> Measurement:
    """Soak ``target``, beside ``control`` under the same load, until ``target_hours`` were under load.

    Returns a SoakResult. Passed when the target lived, the rate was held and the plan's promotion limits hold; the
    trend has a verdict of its own. Raises CollectError when the generator breaks or a segment brings no load.
    """
    target_s = target_hours * 3600
    window_s = 2.0 if target_s < _SHORT_S else 10.0
    sample_file = work_dir / "samples.jsonl"
    alive = True
    while alive and (left_s := target_s - _under_load_s(_windows(work_dir))) > 0.01 * target_s:
        load = Load(target.url, locustfile, journey, rate_per_s, min(segment_s, left_s), seed, window_s)
        before_s = _under_load_s(_windows(work_dir))
        alive = _segment(load, target, control, sample_file, work_dir, target_s, before_s, progress)
        if alive and _under_load_s(_windows(work_dir)) < before_s + 0.5 * load.duration_s:
            raise CollectError(f"the soak's load was not held: of {load.duration_s:g} s less than half was under load")
    content, sampled = _complete_lines(_window_files(work_dir)), _complete_lines([sample_file])
    windows, samples = parse_windows(content, _WINDOWS), parse_samples(sampled, _SAMPLES)
    if not windows:
        raise CollectError(f"the target {target.name} ended before the soak's first window")
    plan = Soaking(target.name, target_hours, memory_limit_bytes, limit_per_day, target.pid is not None)
    limits = limits_of(slo)
    result = result_of(windows, samples, plan)
    outcome, why = outcome_of(result, samples, plan, limits)
    return Measurement(
        result=result,
        outcome=outcome,
        summary=_summary(result, outcome, why),
        started_at=datetime.fromtimestamp(windows[0].started_at_s, UTC),
        finished_at=datetime.fromtimestamp(windows[-1].finished_at_s, UTC),
        parameters={
            **asdict(plan),
            **asdict(limits),
            "control": control.name if control else None,
            "journey": journey,
            "rate_per_s": rate_per_s,
            "segment_s": segment_s,
            "seed": seed,
        },
        tools={name: version(name) for name in ("locust", "hdrhistogram", "numpy", "scipy")},
        left_out=[LeftOut("seconds without load", round(_gap_s(result.gaps)), g.cause) for g in result.gaps[:1]],
        attachments=[
            AttachmentContent(_WINDOWS, "application/jsonl", content),
            AttachmentContent(_SAMPLES, "application/jsonl", sampled),
        ],
    )


@dataclass(frozen=True)
class Soaking:
    """What a soak's result needs besides windows and samples; ``process_sampled``: the target's process is known."""

    target: str
    target_hours: float
    memory_limit_bytes: float
    limit_per_day: float
    process_sampled: bool


def outcome_of(result: SoakResult, samples: Sequence[Sample], plan: Soaking, limits: Limits) -> tuple[Outcome, str]:
    """The outcome of a soak, and why when it did not pass: a target whose process is gone at the end fails it."""
    if plan.process_sampled and samples and samples[-1].target is None:
        return "failed", f"the target ended after {duration_text(result.hours_under_load * 3600)} under load"
    return load_outcome(result.completed, result.held_rate, result.error_rate, result.p95_ms, limits)


def replay_soak(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of a soak again, from its windows and samples. Raises UnrecordedError and CollectError."""
    limits = recorded_limits(record)
    plan = Soaking(
        target=text(record, "target"),
        target_hours=number(record, "target_hours"),
        memory_limit_bytes=number(record, "memory_limit_bytes"),
        limit_per_day=number(record, "limit_per_day"),
        process_sampled=parameter(record, "process_sampled") is True,
    )
    windows = parse_windows(attached(attachments, _WINDOWS), _WINDOWS)
    samples = parse_samples(attached(attachments, _SAMPLES), _SAMPLES)
    result = result_of(windows, samples, plan)
    return Recomputed(result, outcome_of(result, samples, plan, limits)[0])


def _segment(
    load: Load,
    target: Target,
    control: Target | None,
    sample_file: Path,
    work_dir: Path,
    target_s: float,
    before_s: float,
    progress: Callable[[float, str], None],
) -> bool:
    """Run one segment; False when the target's process is gone."""
    number = len(_window_files(work_dir)) + 1
    sample_s = 1.0 if target_s < _SHORT_S else 10.0
    alive = True

    def tell(windows: list[Window]) -> bool:
        nonlocal alive
        sample = take_sample(time.time(), target, control)
        append_sample(sample_file, sample)
        alive = target.pid is None or sample.target is not None
        seconds = before_s + _under_load_s(windows)
        rss = f", {sample.target.rss_bytes / _MB:.0f} MB" if sample.target else ""
        progress(seconds / target_s, f"{duration_text(seconds)} of {duration_text(target_s)} under load{rss}")
        return alive

    with ExitStack() as stack:
        generator: Generator = stack.enter_context(generating(load, work_dir, name=f"soak-{number:04d}"))
        if control is not None:
            of_control = Load(**{**vars(load), "url": control.url})
            stack.enter_context(generating(of_control, work_dir, name=f"control-{number:04d}"))
        generator.wait(every_s=sample_s, tell=tell)
    return alive


def _window_files(work_dir: Path) -> list[Path]:
    return sorted(work_dir.glob("soak-*.windows.jsonl"))


def _windows(work_dir: Path) -> list[Window]:
    return [window for file in _window_files(work_dir) for window in read_windows(file)]


def _complete_lines(files: Sequence[Path]) -> bytes:
    """The files without what follows their last line ends: an interruption may have cut a line off."""
    contents = [file.read_bytes() for file in files if file.exists()]
    return b"".join(content[: content.rfind(b"\n") + 1] for content in contents)


def _under_load_s(windows: Sequence[Window]) -> float:
    return sum(window.duration_s for window in windows if window.under_load)


def find_gaps(windows: Sequence[Window]) -> list[Gap]:
    """Time between the first and the last window that was not under load, and why."""
    gaps = []
    for previous, window in zip([None, *windows], windows, strict=False):
        if previous is not None and window.started_at_s - previous.finished_at_s > 0.01:
            gaps.append(_gap(previous.finished_at_s, window.started_at_s, "no load generator was running"))
        if not window.under_load:
            gaps.append(_gap(window.started_at_s, window.finished_at_s, "the offered rate was not held"))
    return gaps


def _gap(started_s: float, finished_s: float, cause: str) -> Gap:
    return Gap(
        started_at=datetime.fromtimestamp(started_s, UTC),
        finished_at=datetime.fromtimestamp(finished_s, UTC),
        cause=cause,
    )


def _gap_s(gaps: Sequence[Gap]) -> float:
    return sum((gap.finished_at - gap.started_at).total_seconds() for gap in gaps)


def _trend(samples: Sequence[Sample], limit_per_day: float, began_s: float) -> Trend:
    life = longest_life(samples)
    control = [(s.at_s, s.control.rss_bytes) for s in samples if s.control is not None]
    return judge_trend(
        [(at - began_s) / 3600 for at, _ in life],
        [reading.rss_bytes / _MB for _, reading in life],
        limit_per_day=limit_per_day,
        control=([(at - began_s) / 3600 for at, _ in control], [rss / _MB for _, rss in control]) if control else None,
    )


def result_of(windows: Sequence[Window], samples: Sequence[Sample], plan: Soaking) -> SoakResult:
    """The result of a soak from its windows and samples, both oldest first, of all segments."""
    totals = sum_windows(windows)
    trend = _trend(samples, plan.limit_per_day, windows[0].started_at_s)
    rss = [sample.target.rss_bytes for sample in samples if sample.target is not None]
    under_load_s, whole_s = _under_load_s(windows), windows[-1].finished_at_s - windows[0].started_at_s
    return SoakResult(
        target=plan.target,
        target_hours=plan.target_hours,
        hours_under_load=under_load_s / 3600,
        coverage=min(1.0, under_load_s / whole_s) if whole_s > 0 else None,
        segments=sum(window.sequence == 0 for window in windows),
        gaps=find_gaps(windows)[:200],
        target_restarts=restarts(samples),
        offered=totals.offered,
        completed=totals.completed,
        errors=totals.errors,
        held_rate=totals.held_rate,
        error_rate=totals.error_rate,
        mean_ms=totals.latency.mean_ms,
        p95_ms=totals.latency.p95_ms,
        memory_ratio=min(1.0, max(rss) / plan.memory_limit_bytes) if rss else None,
        rss_first_mb=round(rss[0] / _MB, 3) if rss else None,
        rss_last_mb=round(rss[-1] / _MB, 3) if rss else None,
        growth_per_day=trend.growth_per_day,
        verdict=trend.verdict,
        trend=trend,
        series=_series(windows, samples),
    )


def _series(windows: Sequence[Window], samples: Sequence[Sample]) -> list[tuple[float, float, float | None]]:
    """At most 240 points for plots: seconds since the start, RSS in MB, P95 in ms of the window around the sample."""
    readings = [(s.at_s, s.target.rss_bytes / _MB) for s in samples if s.target is not None]
    step = max(1, -(-len(readings) // _PLOTTED_AT_MOST))
    began_s, points, index = windows[0].started_at_s, [], 0
    for at_s, rss_mb in readings[::step]:
        while index < len(windows) - 1 and windows[index].finished_at_s < at_s:
            index += 1
        holds = windows[index].started_at_s <= at_s <= windows[index].finished_at_s
        p95_ms = sum_windows([windows[index]]).latency.p95_ms if holds else None
        points.append((round(at_s - began_s, 1), round(rss_mb, 2), p95_ms))
    return points


def _summary(result: SoakResult, outcome: Outcome, why: str) -> str:
    under_load, wanted = (duration_text(hours * 3600) for hours in (result.hours_under_load, result.target_hours))
    seen = f"{under_load} of {wanted} under load, {result.completed} requests"
    errors = "" if result.error_rate is None else f", {result.error_rate:.2%} errors"
    return f"{seen}{errors}, memory {result.verdict}" + (f"; {why}" if outcome != "passed" else "")
