"""A load of a stated arrival rate on one target."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from decision.objectives import Slo
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, number, number_or_none, text
from evidence.results import LoadResult
from loadtests.generator import Load, generating
from loadtests.schedule import offered
from loadtests.windows import Window, parse_windows, sum_windows
from processes.target import Target

HELD_RATE_AT_LEAST = 0.95
"""Below this the generator did not offer what the plan asked for, and its figures show nothing."""

_WINDOWS = "windows.jsonl"


def run_load(
    target: Target,
    *,
    locustfile: Path,
    journey: str,
    rate_per_s: float,
    duration_s: float,
    seed: int,
    slo: Slo,
    work_dir: Path,
    progress: Callable[[float, str], None],
) -> Measurement:
    """Offer ``rate_per_s`` requests a second for ``duration_s``; returns a LoadResult.

    Passed when the generator held the rate and the plan's promotion limits of error rate and P95 hold, failed when they
    do not, inconclusive when the rate was not held. Raises CollectError when the generator breaks.
    """
    window_s = 1.0 if duration_s < 60 else 10.0
    load = Load(target.url, locustfile, journey, rate_per_s, duration_s, seed, window_s)
    (work_dir / "load.windows.jsonl").unlink(missing_ok=True)

    def tell(windows: list[Window]) -> bool:
        seconds = sum(w.duration_s for w in windows)
        completed, errors = sum(w.completed for w in windows), sum(w.errors for w in windows)
        progress(seconds / duration_s, f"{completed} requests, {errors} errors")
        return True

    with generating(load, work_dir, name="load") as generator:
        generator.wait(every_s=0.5, tell=tell)
    content = (work_dir / "load.windows.jsonl").read_bytes()
    windows = parse_windows(content, _WINDOWS)
    offering = Offering(target.name, rate_per_s, duration_s, seed)
    result = result_of(windows, offering)
    limits = limits_of(slo)
    outcome, why = load_outcome(result.completed, result.held_rate, result.error_rate, result.p95_ms, limits)
    left_out = []
    if unstarted := result.offered - result.started:
        left_out.append(LeftOut("requests never started", unstarted, "no user was free before the load ended"))
    return Measurement(
        result=result,
        outcome=outcome,
        summary=_summary(result) + (f"; {why}" if why else ""),
        started_at=datetime.fromtimestamp(windows[0].started_at_s, UTC),
        finished_at=datetime.fromtimestamp(windows[-1].finished_at_s, UTC),
        parameters={**asdict(offering), **asdict(limits), "journey": journey, "arrivals": "poisson"},
        tools={name: version(name) for name in ("locust", "hdrhistogram")},
        left_out=left_out,
        attachments=[AttachmentContent(_WINDOWS, "application/jsonl", content)],
    )


@dataclass(frozen=True)
class Offering:
    """What a load offers to a target: all that its result needs besides its windows."""

    target: str
    rate_per_s: float
    duration_s: float
    seed: int


def result_of(windows: Sequence[Window], offering: Offering) -> LoadResult:
    """The result of a load from its windows. What was offered is counted from the seed: it is what was to be done."""
    planned = offered(seed=offering.seed, rate_per_s=offering.rate_per_s, duration_s=offering.duration_s)
    totals = replace(sum_windows(windows), offered=planned)
    return LoadResult(
        target=offering.target,
        duration_s=round(totals.duration_s, 3),
        offered=totals.offered,
        started=totals.started,
        completed=totals.completed,
        errors=totals.errors,
        rate_limited=totals.rate_limited,
        expected_4xx=totals.expected_4xx,
        offered_rate=offering.rate_per_s,
        completed_rate=round(totals.completed / totals.duration_s, 3) if totals.duration_s else 0.0,
        held_rate=totals.held_rate,
        error_rate=totals.error_rate,
        mean_ms=totals.latency.mean_ms,
        p95_ms=totals.latency.p95_ms,
        latency=totals.latency,
        by_endpoint=totals.by_endpoint,
        generator_cpu=totals.generator_cpu,
    )


def replay_load(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of a load again, from its windows and its seed. Raises UnrecordedError and CollectError."""
    limits = recorded_limits(record)
    windows = parse_windows(attached(attachments, _WINDOWS), _WINDOWS)
    rate_per_s, duration_s = number(record, "rate_per_s"), number(record, "duration_s")
    result = result_of(windows, Offering(text(record, "target"), rate_per_s, duration_s, int(number(record, "seed"))))
    outcome, _ = load_outcome(result.completed, result.held_rate, result.error_rate, result.p95_ms, limits)
    return Recomputed(result, outcome)


@dataclass(frozen=True)
class Limits:
    """The plan's promotion limits that a load is held against; None: there is no limit."""

    error_rate_at_most: float | None
    p95_ms_at_most: float | None


def limits_of(slo: Slo) -> Limits:
    """The limits that a plan states."""
    errors, latency = slo.get("error-rate"), slo.get("latency-p95")
    return Limits(errors.promote_at_most if errors else None, latency.promote_at_most if latency else None)


def recorded_limits(record: Record) -> Limits:
    """The limits that a record states. Raises UnrecordedError."""
    return Limits(number_or_none(record, "error_rate_at_most"), number_or_none(record, "p95_ms_at_most"))


def load_outcome(
    completed: int, held_rate: float | None, error_rate: float | None, p95_ms: float | None, limits: Limits
) -> tuple[Outcome, str]:
    """The outcome of a load by the plan's promotion limits, and why when it did not pass. None never passes."""
    if not completed or held_rate is None or error_rate is None or p95_ms is None:
        return "inconclusive", "nothing was completed"
    if held_rate < HELD_RATE_AT_LEAST:
        return "inconclusive", f"the generator held only {held_rate:.1%} of the rate"
    judged = (
        ("error-rate", error_rate, limits.error_rate_at_most),
        ("latency-p95", p95_ms, limits.p95_ms_at_most),
    )
    for name, value, limit in judged:
        if limit is not None and value > limit:
            return "failed", f"{name} {value:.4g} is above {limit:g}"
    return "passed", ""


def _summary(result: LoadResult) -> str:
    if result.p95_ms is None or result.error_rate is None:
        return f"0 of {result.offered} requests completed"
    return f"{result.completed} requests, {result.error_rate:.2%} errors, P95 {result.p95_ms:.1f} ms"
