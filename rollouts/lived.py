"""A rollout as it was lived through: its raw material, as it is kept with the evidence, and the result of that.

Raw are the requests, the limits, and what the clock and the process told when a stage was decided. All else is computed
from them: the decision of every stage too, which must be the one that the journal says was carried out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from decision.objectives import Objective, Slo, Stage
from decision.quantities import Margin
from evidence.measurement import Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, attached_json, text
from evidence.results import RolloutResult, StageResult
from processes.errors import IntegrityError
from rollouts.judge import Requests, judge
from rollouts.kept_requests import keep_requests, read_kept_requests
from rollouts.roll_back import RolledBack
from rollouts.sample_ratio import ALPHA
from rollouts.samples import RequestSample
from rollouts.stage import Seen, Step, counts_of, next_step
from rollouts.triggers import CanaryWindow, failures_in_a_row

REQUESTS = "requests.parquet"
JUDGE = "judge.json"
JOURNAL = "journal.jsonl"

StageOutcome = Literal["promoted", "rolled-back", "frozen", "unfinished"]

_DECIDED, _AFTERWARDS = "stage {}", "stage {} after its decision"
_BACK = ("decided_at_s", "confirmed_at_s", "settled")
_TOLD = ("elapsed_s", "silent_s", "traffic_alive")
_OUTCOMES: Mapping[str, StageOutcome] = {
    "promote": "promoted",
    "roll-back": "rolled-back",
    "freeze": "frozen",
    "wait": "unfinished",
}


@dataclass(frozen=True)
class Rules:
    """What stages are decided by; the last two as ``next_step`` knows them."""

    slo: Slo
    minimum_s: float
    harm_alpha: float
    silence_at_most_s: float
    mismatch_alpha: float = ALPHA
    alone: Slo | None = None


@dataclass(frozen=True)
class LivedStage:
    """One stage. ``decided`` is what was seen when it was decided, ``afterwards`` the requests seen after that."""

    stage: Stage
    decided: Seen
    afterwards: Sequence[RequestSample]
    ticks: int


@dataclass(frozen=True)
class Lived:
    """All of a rollout. ``back`` is the way back to stable, None when every stage was promoted."""

    stages: Sequence[LivedStage]
    planned: int
    rules: Rules
    back: RolledBack | None


def decide_stage(seen: Seen, stage: Stage, rules: Rules) -> Step:
    """What to do by the rules."""
    return next_step(
        seen,
        stage,
        rules.slo,
        minimum_s=rules.minimum_s,
        harm_alpha=rules.harm_alpha,
        silence_at_most_s=rules.silence_at_most_s,
        mismatch_alpha=rules.mismatch_alpha,
        alone=rules.alone,
    )


def outcome_of(step: Step) -> StageOutcome:
    """How a stage ends with its last step; one that still waited when the time was over is unfinished."""
    return _OUTCOMES[step.action]


def material_of(lived: Lived) -> dict[str, bytes]:
    """The raw material as it is kept, by attachment name: floats as they are, to the last bit."""
    phases: dict[str, Sequence[RequestSample]] = {}
    for number, one in enumerate(lived.stages):
        phases |= {_DECIDED.format(number): one.decided.requests, _AFTERWARDS.format(number): one.afterwards}
    rules, back = lived.rules, lived.back
    judged = {
        "slo": {name: objective.model_dump(mode="json") for name, objective in rules.slo.items()},
        **{name: value for name, value in vars(rules).items() if name != "slo"},
        "planned": lived.planned,
        "stages": [_stage_entry(one) for one in lived.stages],
        "back": None if back is None else {name: getattr(back, name) for name in _BACK},
    }
    return {REQUESTS: keep_requests(phases), JUDGE: json.dumps(judged, indent=1).encode()}


def read_material(attachments: Attached) -> Lived:
    """The rollout of its raw material. Raises UnrecordedError for that of older versions."""
    judged = attached_json(attachments, JUDGE)
    phases = read_kept_requests(attached(attachments, REQUESTS))
    stages = [
        _lived_stage(entry, phases.get(_DECIDED.format(number), []), phases.get(_AFTERWARDS.format(number), []))
        for number, entry in enumerate(judged["stages"])
    ]
    rules = Rules(
        slo={name: _objective(entry) for name, entry in judged["slo"].items()},
        minimum_s=judged["minimum_s"],
        harm_alpha=judged["harm_alpha"],
        silence_at_most_s=judged["silence_at_most_s"],
    )
    back = None if judged["back"] is None else RolledBack(**judged["back"], requests=list(stages[-1].afterwards))
    return Lived(stages, judged["planned"], rules, back)


def result_of(lived: Lived, router: str) -> RolloutResult:
    """The result of a rollout: every stage decided and judged again by its rules."""
    steps = [decide_stage(one.decided, one.stage, lived.rules) for one in lived.stages]
    stages = [_stage_result(one, step, lived.rules) for one, step in zip(lived.stages, steps, strict=True)]
    last = stages[-1]
    promoted = sum(stage.outcome == "promoted" for stage in stages)
    completed = promoted == lived.planned
    harmed = last.outcome == "rolled-back" and lived.back is not None
    canary = [
        request
        for one in lived.stages
        for request in (*one.decided.requests, *one.afterwards)
        if request.backend == "canary"
    ]
    return RolloutResult(
        mode="rehearsal",
        router=router,
        completed=completed,
        outcome="completed" if completed or last.outcome == "promoted" else last.outcome,
        why=last.why,
        stages=stages,
        stages_completed=promoted,
        canary_requests=len(canary),
        canary_errors=sum(request.is_error for request in canary),
        users_exposed=len({request.user_hash for request in canary}),
        requests_to_harm=_requests_to_harm(lived.stages[-1], steps[-1], stages),
        harm_to_stable_ms=lived.back.last_canary_ms if harmed and lived.back else None,
        ticks=sum(one.ticks for one in lived.stages),
    )


def measured(result: RolloutResult) -> Outcome:
    """The outcome of a rollout's measurement."""
    if result.completed:
        return "passed"
    return "failed" if result.outcome == "rolled-back" else "inconclusive"


def rollout_of(attachments: Attached, router: str) -> RolloutResult:
    """The result of the raw material. Raises UnrecordedError, and IntegrityError when the journal says otherwise."""
    result = result_of(read_material(attachments), router)
    decided = [
        ("promote" if stage.outcome == "promoted" else "roll-back", stage.stage, stage.why) for stage in result.stages
    ]
    entries = [json.loads(line) for line in attached(attachments, JOURNAL).decode().splitlines()]
    done = [(e["action"], e["stage"], e["detail"]["why"]) for e in entries if e["action"] != "expose"]
    for ours, theirs in zip(decided, done, strict=False):
        if ours != theirs:
            raise IntegrityError(f"the journal says {' '.join(theirs)}, its requests say {' '.join(ours)}")
    if len(decided) != len(done):
        raise IntegrityError(f"the journal ends {len(done)} stages, and {len(decided)} were lived through")
    return result


def replay_rollout(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of a rollout again. Raises UnrecordedError and IntegrityError."""
    result = rollout_of(attachments, text(record, "router"))
    return Recomputed(result, measured(result))


def _stage_entry(one: LivedStage) -> dict[str, Any]:
    return {
        "stage": one.stage.model_dump(mode="json", include={"name", "share", "requests", "salt"}),
        "windows": [asdict(window) for window in one.decided.windows],
        **{name: getattr(one.decided, name) for name in _TOLD},
        "ticks": one.ticks,
    }


def _lived_stage(
    entry: Mapping[str, Any], requests: Sequence[RequestSample], afterwards: Sequence[RequestSample]
) -> LivedStage:
    decided = Seen(
        requests=requests,
        windows=[CanaryWindow(**window) for window in entry["windows"]],
        failures_in_a_row=failures_in_a_row(requests),
        **{name: entry[name] for name in _TOLD},
    )
    return LivedStage(Stage.model_validate(entry["stage"]), decided, afterwards, entry["ticks"])


def _objective(entry: Mapping[str, Any]) -> Objective:
    margin = entry["worse_than_stable_by"]
    return Objective.model_validate({**entry, "worse_than_stable_by": None if margin is None else Margin(**margin)})


def _stage_result(one: LivedStage, step: Step, rules: Rules) -> StageResult:
    requests = [*one.decided.requests, *one.afterwards]
    metrics = step.metrics
    if metrics and one.stage.share < 1:
        metrics = judge(Requests.of(requests), rules.slo, harm_alpha=rules.harm_alpha, intervals=True)
    return StageResult(
        stage=one.stage.name,
        share=one.stage.share,
        duration_s=round(one.decided.elapsed_s, 3),
        stable=counts_of(requests, "stable"),
        canary=counts_of(requests, "canary"),
        metrics=list(metrics),
        outcome=outcome_of(step),
        why=step.why,
    )


def _requests_to_harm(last: LivedStage, step: Step, stages: Sequence[StageResult]) -> int | None:
    if outcome_of(step) != "rolled-back":
        return None
    alarms = [m.first_alarm_at for m in step.metrics if m.first_alarm_at is not None]
    in_stage = min(alarms) if alarms else sum(r.backend == "canary" for r in last.decided.requests)
    return sum(stage.canary.requests for stage in stages[:-1]) + in_stage
