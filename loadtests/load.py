"""A load of a stated arrival rate on one target."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from decision.objectives import Slo
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.results import LoadResult
from loadtests.generator import Load, generating
from loadtests.windows import Window, sum_windows
from processes.target import Target

HELD_RATE_AT_LEAST = 0.95
"""Below this the generator did not offer what the plan asked for, and its figures show nothing."""


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
        windows = generator.windows()
    totals = sum_windows(windows)
    result = LoadResult(
        target=target.name,
        duration_s=round(totals.duration_s, 3),
        offered=totals.offered,
        started=totals.started,
        completed=totals.completed,
        errors=totals.errors,
        rate_limited=totals.rate_limited,
        expected_4xx=totals.expected_4xx,
        offered_rate=rate_per_s,
        completed_rate=round(totals.completed / totals.duration_s, 3) if totals.duration_s else 0.0,
        held_rate=totals.held_rate,
        error_rate=totals.error_rate,
        mean_ms=totals.latency.mean_ms,
        p95_ms=totals.latency.p95_ms,
        latency=totals.latency,
        by_endpoint=totals.by_endpoint,
        generator_cpu=totals.generator_cpu,
    )
    left_out = []
    if unstarted := totals.offered - totals.started:
        left_out.append(LeftOut("requests never started", unstarted, "no user was free before the load ended"))
    outcome, why = load_outcome(result.completed, result.held_rate, result.error_rate, result.p95_ms, slo)
    return Measurement(
        result=result,
        outcome=outcome,
        summary=_summary(result) + (f"; {why}" if why else ""),
        started_at=datetime.fromtimestamp(windows[0].started_at_s, UTC),
        finished_at=datetime.fromtimestamp(windows[-1].finished_at_s, UTC),
        parameters={
            "target": target.name,
            "journey": journey,
            "rate_per_s": rate_per_s,
            "duration_s": duration_s,
            "seed": seed,
            "arrivals": "poisson",
        },
        tools={"locust": version("locust"), "hdrhistogram": version("hdrhistogram")},
        left_out=left_out,
        attachments=[
            AttachmentContent("windows.jsonl", "application/jsonl", (work_dir / "load.windows.jsonl").read_bytes())
        ],
    )


def load_outcome(
    completed: int, held_rate: float | None, error_rate: float | None, p95_ms: float | None, slo: Slo
) -> tuple[Outcome, str]:
    """The outcome of a load by the plan's promotion limits, and why when it did not pass. None never passes."""
    if not completed or held_rate is None or error_rate is None or p95_ms is None:
        return "inconclusive", "nothing was completed"
    if held_rate < HELD_RATE_AT_LEAST:
        return "inconclusive", f"the generator held only {held_rate:.1%} of the rate"
    for name, value in (("error-rate", error_rate), ("latency-p95", p95_ms)):
        objective = slo.get(name)  # type: ignore[call-overload]
        if objective and objective.promote_at_most is not None and value > objective.promote_at_most:
            return "failed", f"{name} {value:.4g} is above {objective.promote_at_most:g}"
    return "passed", ""


def _summary(result: LoadResult) -> str:
    if result.p95_ms is None or result.error_rate is None:
        return f"0 of {result.offered} requests completed"
    return f"{result.completed} requests, {result.error_rate:.2%} errors, P95 {result.p95_ms:.1f} ms"
