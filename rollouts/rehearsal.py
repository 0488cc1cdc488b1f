"""A rehearsed rollout: the plan's stages, limits and numbers of requests on live traffic, with short minimum times."""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import pandas as pd

from decision.objectives import Slo, Stage
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.results import JudgedMetric, RolloutResult, StageResult
from processes.target import Target
from rollouts.assignment import slots_of_share
from rollouts.feed import Feed
from rollouts.journal import Journal
from rollouts.judge import Requests, judge
from rollouts.roll_back import RolledBack, now_s, roll_back
from rollouts.router import Router
from rollouts.samples import RequestSample
from rollouts.stage import Seen, Step, counts_of, next_step
from rollouts.watch import StageWatch

MEMORY_LIMIT_BYTES = 512e6
_SILENCE_AT_MOST_S = 10.0
_JUDGED_METRICS = 3

StageOutcome = Literal["promoted", "rolled-back", "frozen", "unfinished"]


@dataclass
class _Rollout:
    """A rollout as it is lived through."""

    requests: list[RequestSample] = field(default_factory=list)
    stages: list[StageResult] = field(default_factory=list)
    ticks: int = 0
    rolled_back: RolledBack | None = None
    requests_to_harm: int | None = None


def rehearse(
    router: Router,
    *,
    stable: Target,
    candidate: Target,
    stages: Sequence[Stage],
    stage_minimum_s: float,
    slo: Slo,
    budget: float,
    database_url: str,
    rollout_id: str,
    timeout_s: float,
    progress: Callable[[float, str], None],
    traffic_alive: Callable[[], bool],
) -> Measurement:
    """Take the candidate through all stages, or back, as the judge decides; returns a RolloutResult.

    Passed when every stage was promoted, failed when the candidate was rolled back, inconclusive when the rollout froze
    or was not over after ``timeout_s``. Whatever happens, all traffic is at stable afterwards, except after promotion.
    """
    started_at, deadline_s = datetime.now(UTC), time.monotonic() + timeout_s
    alpha = budget / (_JUDGED_METRICS * len(stages))
    rollout, feed = _Rollout(), Feed(router)
    with Journal(database_url, f"{rollout_id}-{uuid.uuid4().hex}") as journal:
        for number, stage in enumerate(stages):
            slots = slots_of_share(stage.share)
            journal.write("expose", stage.name, slots, salt=stage.salt)
            router.renew_lease()
            router.set_share(slots, stage.salt or None)
            watch = StageWatch(router, feed, candidate, MEMORY_LIMIT_BYTES, traffic_alive)
            seen, step = _live_through(watch, stage, slo, stage_minimum_s, alpha, deadline_s, rollout, _told(
                progress, number, stages
            ))  # fmt: skip
            outcome = _outcome(step)
            if outcome != "promoted":
                decided_at_s = now_s()
                journal.write("roll-back", stage.name, 0, why=step.why, outcome=outcome)
                rollout.rolled_back = roll_back(router, feed, decided_at_s, traffic_alive)
                watch.requests += rollout.rolled_back.requests
            else:
                journal.write("promote", stage.name, slots, why=step.why)
            _conclude_stage(rollout, stage, seen, step, outcome, slo, alpha)
            if outcome != "promoted":
                break
        entries = [vars(entry) | {"at": entry.at.isoformat()} for entry in journal.entries()]
    result = _result(rollout, router.kind, stages)
    return Measurement(
        result=result,
        outcome=_measured(result),
        summary=_summary(result, len(stages)),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        tools={router.kind: router.version},
        parameters={
            "router": router.kind,
            "stable": stable.name,
            "candidate": candidate.name,
            "stage_minimum_s": stage_minimum_s,
            "false_rollback_budget": budget,
            "harm_alpha": alpha,
            "memory_limit_bytes": MEMORY_LIMIT_BYTES,
        },
        left_out=_left_out(rollout.stages, stages),
        attachments=[
            AttachmentContent("requests.parquet", "application/vnd.apache.parquet", _parquet(rollout.requests)),
            AttachmentContent("journal.jsonl", "application/jsonl", "".join(
                json.dumps(entry) + "\n" for entry in entries
            ).encode()),
        ],
    )  # fmt: skip


def _told(progress: Callable[[float, str], None], number: int, stages: Sequence[Stage]) -> Callable[[Seen, Step], None]:
    stage = stages[number]

    def tell(seen: Seen, step: Step) -> None:
        needed = max(stage.requests, 1)
        done = min(1.0, sum(r.backend == "canary" for r in seen.requests) / needed)
        progress((number + 0.99 * done) / len(stages), f"{stage.name} {stage.share:.0%}: {step.why}")

    return tell


def _live_through(
    watch: StageWatch,
    stage: Stage,
    slo: Slo,
    minimum_s: float,
    alpha: float,
    deadline_s: float,
    rollout: _Rollout,
    tell: Callable[[Seen, Step], None],
) -> tuple[Seen, Step]:
    """Tick until the stage is over."""
    while True:
        seen = watch.next_tick()
        rollout.ticks += 1
        step = next_step(seen, stage, slo, minimum_s=minimum_s, harm_alpha=alpha, silence_at_most_s=_SILENCE_AT_MOST_S)
        tell(seen, step)
        if step.action != "wait" or time.monotonic() > deadline_s:
            return seen, step


def _outcome(step: Step) -> StageOutcome:
    outcomes: dict[str, StageOutcome] = {
        "promote": "promoted", "roll-back": "rolled-back", "freeze": "frozen", "wait": "unfinished"
    }  # fmt: skip
    return outcomes[step.action]


def _conclude_stage(
    rollout: _Rollout, stage: Stage, seen: Seen, step: Step, outcome: StageOutcome, slo: Slo, alpha: float
) -> None:
    if outcome == "rolled-back":
        before = sum(s.canary.requests for s in rollout.stages)
        alarms = [m.first_alarm_at for m in step.metrics if m.first_alarm_at is not None]
        in_stage = min(alarms) if alarms else sum(r.backend == "canary" for r in seen.requests)
        rollout.requests_to_harm = before + in_stage
    metrics: Sequence[JudgedMetric] = step.metrics
    if metrics and stage.share < 1:
        metrics = judge(Requests.of(seen.requests), slo, harm_alpha=alpha, intervals=True)
    rollout.requests += seen.requests
    rollout.stages.append(
        StageResult(
            stage=stage.name,
            share=stage.share,
            duration_s=round(seen.elapsed_s, 3),
            stable=counts_of(seen.requests, "stable"),
            canary=counts_of(seen.requests, "canary"),
            metrics=list(metrics),
            outcome=outcome,
            why=step.why,
        )
    )


def _result(rollout: _Rollout, router: str, stages: Sequence[Stage]) -> RolloutResult:
    last = rollout.stages[-1]
    promoted = sum(stage.outcome == "promoted" for stage in rollout.stages)
    completed = promoted == len(stages)
    canary = [request for request in rollout.requests if request.backend == "canary"]
    harmed = last.outcome == "rolled-back" and rollout.rolled_back is not None
    return RolloutResult(
        mode="rehearsal",
        router=router,
        completed=completed,
        outcome="completed" if completed or last.outcome == "promoted" else last.outcome,
        why=last.why,
        stages=rollout.stages,
        stages_completed=promoted,
        canary_requests=len(canary),
        canary_errors=sum(request.is_error for request in canary),
        users_exposed=len({request.user_hash for request in canary}),
        requests_to_harm=rollout.requests_to_harm,
        harm_to_stable_ms=rollout.rolled_back.last_canary_ms if harmed and rollout.rolled_back else None,
        ticks=rollout.ticks,
    )


def _measured(result: RolloutResult) -> Outcome:
    if result.completed:
        return "passed"
    return "failed" if result.outcome == "rolled-back" else "inconclusive"


def _summary(result: RolloutResult, stages: int) -> str:
    if result.completed:
        return f"all {stages} stages promoted, {result.canary_requests} canary requests, {result.canary_errors} errors"
    if result.outcome == "rolled-back":
        ms = "not measured" if result.harm_to_stable_ms is None else f"{result.harm_to_stable_ms:.1f} ms"
        return (
            f"rolled back in stage {result.stages[-1].stage} after {result.requests_to_harm} canary requests, "
            f"all on stable within {ms}: {result.why}"
        )
    return f"{result.outcome} in stage {result.stages[-1].stage}: {result.why}"


def _left_out(lived: Sequence[StageResult], stages: Sequence[Stage]) -> list[LeftOut]:
    missing = len(stages) - len(lived)
    return [LeftOut("stages", missing, "the rollout ended before them")] if missing else []


def _parquet(requests: Sequence[RequestSample]) -> bytes:
    columns = ("at_s", "backend", "status", "latency_ms", "user_hash", "assigned")
    frame = pd.DataFrame({name: [getattr(request, name) for request in requests] for name in columns})
    return bytes(frame.to_parquet(index=False))
