"""A rehearsed rollout: the plan's stages, limits and numbers of requests on live traffic, with short minimum times."""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from decision.objectives import Slo, Stage
from evidence.measurement import AttachmentContent, LeftOut, Measurement
from evidence.results import StageResult
from processes.target import Target
from rollouts.assignment import slots_of_share
from rollouts.counters import totals_of
from rollouts.feed import Feed
from rollouts.journal import Journal
from rollouts.lived import (
    JOURNAL,
    MEDIA_TYPES,
    Lived,
    LivedStage,
    material_of,
    measured,
    outcome_of,
    rollout_of,
    summary_of,
)
from rollouts.roll_back import now_s, roll_back
from rollouts.router import Router
from rollouts.rules import Rules, decide_stage
from rollouts.stage import Seen, Step
from rollouts.triggers import UNMEASURED_WINDOWS
from rollouts.watch import StageWatch

_SILENCE_AT_MOST_S = 10.0
_JUDGED_METRICS = 3


def rehearse(
    router: Router,
    *,
    stable: Target,
    candidate: Target,
    stages: Sequence[Stage],
    stage_minimum_s: float,
    slo: Slo,
    budget: float,
    memory_limit_bytes: float | None,
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
    rules = Rules(slo, stage_minimum_s, alpha, _SILENCE_AT_MOST_S, unmeasured_windows=UNMEASURED_WINDOWS)
    lived: list[LivedStage] = []
    back, feed = None, Feed(router)
    with Journal(database_url, f"{rollout_id}-{uuid.uuid4().hex}") as journal:
        for number, stage in enumerate(stages):
            slots = slots_of_share(stage.share)
            journal.write("expose", stage.name, slots, salt=stage.salt)
            router.renew_lease()
            router.set_share(slots, stage.salt or None)
            watch = StageWatch(router, feed, candidate, memory_limit_bytes, traffic_alive)
            seen, step, ticks = _live_through(watch, stage, rules, deadline_s, _told(progress, number, stages))
            outcome = outcome_of(step)
            if outcome != "promoted":
                decided_at_s = now_s()
                journal.write("roll-back", stage.name, 0, why=step.why, outcome=outcome)
                back = roll_back(router, feed, decided_at_s, traffic_alive)
            else:
                journal.write("promote", stage.name, slots, why=step.why)
            lived.append(LivedStage(stage, seen, back.requests if back else [], ticks))
            if back:
                break
        entries = [vars(entry) | {"at": entry.at.isoformat()} for entry in journal.entries()]
    material = material_of(Lived(lived, len(stages), rules, back))
    material[JOURNAL] = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
    result = rollout_of(material, router.kind)
    return Measurement(
        result=result,
        outcome=measured(result),
        summary=summary_of(result, len(stages)),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        tools={router.kind: router.version, **{name: version(name) for name in ("numpy", "scipy")}},
        parameters={
            "router": router.kind,
            "stable": stable.name,
            "candidate": candidate.name,
            "stage_minimum_s": stage_minimum_s,
            "false_rollback_budget": budget,
            "harm_alpha": alpha,
            "memory_limit_bytes": memory_limit_bytes,
        },
        left_out=_left_out(result.stages, stages),
        attachments=[AttachmentContent(name, MEDIA_TYPES[name], content) for name, content in material.items()],
    )


def _told(progress: Callable[[float, str], None], number: int, stages: Sequence[Stage]) -> Callable[[Seen, Step], None]:
    stage = stages[number]

    def tell(seen: Seen, step: Step) -> None:
        needed = max(stage.requests, 1)
        done = min(1.0, totals_of(seen.requests, "canary")[0] / needed)
        progress((number + 0.99 * done) / len(stages), f"{stage.name} {stage.share:.0%}: {step.why}")

    return tell


def _live_through(
    watch: StageWatch, stage: Stage, rules: Rules, deadline_s: float, tell: Callable[[Seen, Step], None]
) -> tuple[Seen, Step, int]:
    """Tick until the stage is over; returns what was seen by then, what is to be done, and the number of ticks."""
    ticks = 0
    while True:
        seen = watch.next_tick()
        ticks += 1
        step = decide_stage(seen, stage, rules)
        tell(seen, step)
        if step.action != "wait" or time.monotonic() > deadline_s:
            return seen, step, ticks


def _left_out(lived: Sequence[StageResult], stages: Sequence[Stage]) -> list[LeftOut]:
    missing = len(stages) - len(lived)
    return [LeftOut("stages", missing, "the rollout ended before them")] if missing else []
