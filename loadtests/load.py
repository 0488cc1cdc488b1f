"""A load of a stated arrival rate on one target."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from math import inf
from pathlib import Path

from decision.objectives import Objective, Slo
from decision.quantities import duration_text
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, number, number_or_none, parameter, text
from evidence.results import LoadResult
from loadtests.abort import broken_limit, first_break
from loadtests.generator import Load, generating
from loadtests.schedule import (
    Shape,
    duration_s,
    highest_per_s,
    mean_per_s,
    offered,
    read_shape,
    shape_text,
)
from loadtests.windows import SERVED_AT_LEAST, Window, parse_windows, sum_windows
from processes.target import Target

HELD_RATE_AT_LEAST = 0.95
"""Below this the generator did not offer what the plan asked for, and its figures show nothing."""

_WINDOWS = "windows.jsonl"
_SATURATED = 0.9
"""Cores that one process of the generator uses at most: its greenlets share one."""


def run_load(
    target: Target,
    *,
    locustfile: Path,
    journey: str | None,
    shape: Shape,
    seed: int,
    slo: Slo,
    work_dir: Path,
    progress: Callable[[float, str], None],
    workers: int = 1,
    remote_workers: int = 0,
    bind: str = "127.0.0.1:0",
) -> Measurement:
    """Offer arrivals as the shape says; returns a LoadResult.

    Passed when the generator held the rate to the end and the plan's promotion limits of error rate and P95 hold,
    failed when they do not, a roll-back limit is broken (the load then ends early) or errors leave less than half of
    the requests served, inconclusive when the rate was not held, most requests were refused with 429, a worker was
    lost, or the generator was stopped. Raises CollectError when the generator breaks or hangs.
    """
    planned_s = duration_s(shape)
    window_s = 1.0 if planned_s < 60 else 10.0
    load = Load(target.url, locustfile, journey, 0.0, planned_s, seed, window_s, shape, workers, remote_workers, bind)
    (work_dir / "load.windows.jsonl").unlink(missing_ok=True)
    broken = None

    def tell(windows: list[Window]) -> bool:
        nonlocal broken
        seconds = sum(w.duration_s for w in windows)
        completed, errors = sum(w.completed for w in windows), sum(w.errors for w in windows)
        progress(seconds / planned_s, f"{completed} requests, {errors} errors")
        if broken is None and (broken := broken_limit(windows, slo)):
            generator.drain()
        return True

    with generating(load, work_dir, name="load") as generator:
        generator.wait(every_s=0.5, tell=tell)
    content = (work_dir / "load.windows.jsonl").read_bytes()
    windows = parse_windows(content, _WINDOWS)
    offering = Offering(target.name, journey, shape, seed, workers + remote_workers)
    result = result_of(windows, offering, slo)
    limits = limits_of(slo)
    outcome, why = outcome_of(result, limits)
    left_out = []
    if unstarted := result.offered - result.started:
        left_out.append(
            LeftOut(f"{result.arrivals} never started", unstarted, why or "the load ended before their turn")
        )
    return Measurement(
        result=result,
        outcome=outcome,
        summary=_summary(result) + (f"; {why}" if why else ""),
        started_at=datetime.fromtimestamp(windows[0].started_at_s, UTC),
        finished_at=datetime.fromtimestamp(windows[-1].finished_at_s, UTC),
        parameters={
            **{name: value for name, value in vars(offering).items() if name != "shape"},
            "shape": shape_text(shape),
            "slo": _slo_text(slo),
            **asdict(limits),
            "arrivals": "poisson",
            "remote_workers": remote_workers,
        },
        tools={name: version(name) for name in ("locust", "hdrhistogram")},
        left_out=left_out,
        attachments=[AttachmentContent(_WINDOWS, "application/jsonl", content)],
    )


@dataclass(frozen=True)
class Offering:
    """What a load offers to a target: all that its result needs besides its windows and the plan's limits.

    ``journey`` None: an arrival is one execution of a task of an ordinary locustfile, and not one request.
    """

    target: str
    journey: str | None
    shape: Shape
    seed: int
    workers: int


def result_of(windows: Sequence[Window], offering: Offering, slo: Slo) -> LoadResult:
    """The result of a load from its windows. What was offered is counted from the seed: it is what was to be done.

    Of a load that a broken limit has ended, it is what was to be done until then.
    """
    broken = first_break(windows, slo)
    until_s = windows[-1].due_until_s if broken else inf
    planned = offered(seed=offering.seed, shape=offering.shape, until_s=until_s)
    totals = replace(sum_windows(windows), offered=planned)
    return LoadResult(
        target=offering.target,
        arrivals="iterations" if offering.journey is None else "requests",
        planned_s=duration_s(offering.shape),
        due_s=windows[-1].due_until_s,
        duration_s=round(totals.duration_s, 3),
        aborted=broken[1] if broken else None,
        offered=totals.offered,
        started=totals.started,
        late=totals.late,
        finished=totals.finished,
        completed=totals.completed,
        errors=totals.errors,
        rate_limited=totals.rate_limited,
        expected_4xx=totals.expected_4xx,
        error_classes=totals.error_classes,
        offered_rate=round(mean_per_s(offering.shape), 3),
        highest_rate=highest_per_s(offering.shape),
        completed_rate=round(totals.completed / totals.duration_s, 3) if totals.duration_s else 0.0,
        held_rate=totals.held_rate,
        error_rate=totals.error_rate,
        served_rate=totals.served_rate,
        mean_ms=totals.latency.mean_ms,
        p95_ms=totals.latency.p95_ms,
        latency=totals.latency,
        by_endpoint=totals.by_endpoint,
        workers=offering.workers,
        workers_lost=offering.workers - min(w.workers for w in windows),
        generator_cpu=totals.generator_cpu,
        generator_cpu_highest=max(w.generator_cpu for w in windows if w.duration_s >= 0.5 * windows[0].duration_s),
        generator_rss_highest_bytes=max(w.generator_rss_bytes for w in windows),
    )


def replay_load(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of a load again, from its windows and its seed. Raises UnrecordedError and CollectError."""
    limits = recorded_limits(record)
    windows = parse_windows(attached(attachments, _WINDOWS), _WINDOWS)
    journey = parameter(record, "journey")
    offering = Offering(
        target=text(record, "target"),
        journey=None if journey is None else str(journey),
        shape=read_shape(text(record, "shape")),
        seed=int(number(record, "seed")),
        workers=int(number(record, "workers")),
    )
    result = result_of(windows, offering, _read_slo(text(record, "slo")))
    outcome, _ = outcome_of(result, limits)
    return Recomputed(result, outcome)


def _slo_text(slo: Slo) -> str:
    """The limits that end a load early, as a record's parameter."""
    leave = {"worse_than_stable_by"}
    return json.dumps({name: objective.model_dump(mode="json", exclude=leave) for name, objective in slo.items()})


def _read_slo(slo: str) -> Slo:
    return {name: Objective.model_validate(entry) for name, entry in json.loads(slo).items()}


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


def outcome_of(result: LoadResult, limits: Limits) -> tuple[Outcome, str]:
    """The outcome of a load, and why when it did not pass. What the generator did not do itself is never a pass."""
    if result.workers_lost:
        return "inconclusive", f"{result.workers_lost} of {result.workers} workers of the generator was lost"
    if result.aborted is None and result.due_s < result.planned_s:
        stopped = f"{duration_text(result.due_s)} of {duration_text(result.planned_s)}"
        return "inconclusive", f"the generator was stopped after {stopped}"
    outcome, why = load_outcome(
        result.completed,
        result.held_rate,
        result.error_rate,
        result.p95_ms,
        limits,
        rate_limited=result.rate_limited,
        error_classes=result.error_classes,
        cpu=result.generator_cpu_highest,
    )
    if result.aborted is not None and outcome != "inconclusive":
        return "failed", f"ended after {duration_text(result.due_s)}: {result.aborted}"
    return outcome, why


def load_outcome(
    completed: int,
    held_rate: float | None,
    error_rate: float | None,
    p95_ms: float | None,
    limits: Limits,
    *,
    rate_limited: int,
    error_classes: Mapping[str, int],
    cpu: float | None = None,
) -> tuple[Outcome, str]:
    """The outcome of a load by the plan's promotion limits, and why when it did not pass. None never passes.

    Nor does a load of which less than half was really served, whatever the limits: errors then fail it, and a target
    that refused it with 429 was not under it. ``cpu`` is the generator's in its busiest window, in cores: near 1 it is
    why the rate was not held.
    """
    if not completed or held_rate is None or error_rate is None:
        return "inconclusive", "nothing was completed"
    if p95_ms is None:
        return "inconclusive", f"no request was made: {most_frequent(error_classes)}"
    if held_rate < HELD_RATE_AT_LEAST:
        saturated = f": it was saturated, with {cpu:.2f} of a core" if cpu is not None and cpu >= _SATURATED else ""
        return "inconclusive", f"the generator held only {held_rate:.1%} of the rate{saturated}"
    judged = (
        ("error-rate", error_rate, limits.error_rate_at_most),
        ("latency-p95", p95_ms, limits.p95_ms_at_most),
    )
    for name, value, limit in judged:
        if limit is not None and value > limit:
            return "failed", f"{name} {value:.4g} is above {limit:g}"
    limited = rate_limited / completed
    served = 1 - error_rate - limited
    if served >= SERVED_AT_LEAST:
        return "passed", ""
    if limited >= error_rate:
        return "inconclusive", f"the target refused {limited:.1%} of the load with 429"
    return "failed", f"only {served:.1%} of the requests were served, {error_rate:.1%} were errors"


def most_frequent(error_classes: Mapping[str, int]) -> str:
    """The most frequent class of errors and how often it was; empty without any."""
    name, times = max(error_classes.items(), key=lambda entry: entry[1], default=("", 0))
    return f"{name} ({times} times)" if times else ""


def _summary(result: LoadResult) -> str:
    if result.error_rate is None:
        return f"none of {result.offered} {result.arrivals} completed"
    classes = f", most often {most_frequent(result.error_classes)}" if result.errors else ""
    limited = f", {result.rate_limited} refused with 429" if result.rate_limited else ""
    latency = "no request made" if result.p95_ms is None else f"P95 {result.p95_ms:.1f} ms"
    return f"{result.completed} requests, {result.error_rate:.2%} errors{classes}{limited}, {latency}"
