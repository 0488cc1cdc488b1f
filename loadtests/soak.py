"""A soak of one target in segments. Only time under load counts, and an interrupted soak goes on where it was.

Windows and samples are files of the work folder: what was written before an interruption counts, and the time until
the soak goes on is a gap.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from decision.objectives import Slo
from decision.quantities import duration_text
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.results import Gap, SoakResult, Trend
from loadtests.generator import Generator, Load, generating
from loadtests.load import load_outcome
from loadtests.samples import Sample, append_sample, longest_life, read_samples, restarts, take_sample
from loadtests.trend import judge_trend
from loadtests.windows import Totals, Window, read_windows, sum_windows
from processes.errors import CollectError
from processes.target import Target

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
    windows, samples = _windows(work_dir), read_samples(sample_file)
    if not windows:
        raise CollectError(f"the target {target.name} ended before the soak's first window")
    totals = sum_windows(windows)
    trend = _trend(samples, limit_per_day, windows[0].started_at_s)
    result = _result(target, target_hours, windows, totals, samples, trend, memory_limit_bytes, work_dir)
    outcome, why = load_outcome(totals.completed, totals.held_rate, totals.error_rate, totals.latency.p95_ms, slo)
    if not alive:
        outcome, why = "failed", f"the target ended after {duration_text(result.hours_under_load * 3600)} under load"
    return Measurement(
        result=result,
        outcome=outcome,
        summary=_summary(result, outcome, why),
        started_at=datetime.fromtimestamp(windows[0].started_at_s, UTC),
        finished_at=datetime.fromtimestamp(windows[-1].finished_at_s, UTC),
        parameters={
            "target": target.name,
            "control": control.name if control else None,
            "journey": journey,
            "rate_per_s": rate_per_s,
            "target_hours": target_hours,
            "segment_s": segment_s,
            "memory_limit_bytes": memory_limit_bytes,
            "limit_per_day": limit_per_day,
            "seed": seed,
        },
        tools={"locust": version("locust"), "hdrhistogram": version("hdrhistogram")},
        left_out=[LeftOut("seconds without load", round(_gap_s(result.gaps)), g.cause) for g in result.gaps[:1]],
        attachments=[
            AttachmentContent("windows.jsonl", "application/jsonl", _window_lines(work_dir)),
            AttachmentContent("samples.jsonl", "application/jsonl", sample_file.read_bytes()),
        ],
    )


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


def _window_lines(work_dir: Path) -> bytes:
    return b"".join(file.read_bytes().rpartition(b"\n")[0] + b"\n" for file in _window_files(work_dir))


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


def _result(
    target: Target,
    target_hours: float,
    windows: Sequence[Window],
    totals: Totals,
    samples: Sequence[Sample],
    trend: Trend,
    memory_limit_bytes: float,
    work_dir: Path,
) -> SoakResult:
    rss = [sample.target.rss_bytes for sample in samples if sample.target is not None]
    under_load_s, whole_s = _under_load_s(windows), windows[-1].finished_at_s - windows[0].started_at_s
    return SoakResult(
        target=target.name,
        target_hours=target_hours,
        hours_under_load=under_load_s / 3600,
        coverage=min(1.0, under_load_s / whole_s) if whole_s > 0 else None,
        segments=len(_window_files(work_dir)),
        gaps=find_gaps(windows)[:200],
        target_restarts=restarts(samples),
        offered=totals.offered,
        completed=totals.completed,
        errors=totals.errors,
        held_rate=totals.held_rate,
        error_rate=totals.error_rate,
        mean_ms=totals.latency.mean_ms,
        p95_ms=totals.latency.p95_ms,
        memory_ratio=min(1.0, max(rss) / memory_limit_bytes) if rss else None,
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
