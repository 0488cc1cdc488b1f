"""A rollout as it was lived through: its raw material, as it is kept with the evidence, and the result of that.

Raw are the requests, the limits, and what the clock and the process told when a stage was decided. All else is computed
from them: the decision of every stage too, which must be the one that the journal says was carried out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from decision.objectives import Stage
from decision.quantities import duration_text
from evidence.measurement import Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, attached_json, text
from evidence.results import ArmCounts, RolloutResult, StageResult
from processes.errors import IntegrityError
from rollouts.counters import Kept, Reading, readings_in, requests_in, totals_of
from rollouts.judge import overall
from rollouts.kept_requests import keep_requests, read_kept_requests
from rollouts.observation import NO_REQUESTS, ArmTotals
from rollouts.roll_back import RolledBack
from rollouts.rules import Rules, decide_stage, read_rules, rules_entry
from rollouts.stage import Seen, Step
from rollouts.traffic import traffic_of
from rollouts.triggers import CanaryWindow, failures_in_a_row

REQUESTS = "requests.parquet"
READINGS = "readings.jsonl"
JUDGE = "judge.json"
JOURNAL = "journal.jsonl"

MEDIA_TYPES = {
    REQUESTS: "application/vnd.apache.parquet",
    READINGS: "application/jsonl",
    JUDGE: "application/json",
    JOURNAL: "application/jsonl",
}

StageOutcome = Literal["promoted", "rolled-back", "frozen", "unfinished"]

_DECIDED, _AFTERWARDS = "stage {}", "stage {} after its decision"
_BACK = ("decided_at_s", "confirmed_at_s", "settled")
_TOLD = ("elapsed_s", "silent_s", "traffic_alive")
_ENDS = frozenset({"promote", "roll-back", "abort"})
"""The journal's words for how a stage ended."""
SHOWN = "show"
"""Its word for what a stage has shown that has not ended yet."""
_OUTCOMES: Mapping[str, StageOutcome] = {
    "promote": "promoted",
    "roll-back": "rolled-back",
    "freeze": "frozen",
    "wait": "unfinished",
}


@dataclass(frozen=True)
class LivedStage:
    """One stage. ``decided`` is what was seen when it was decided, ``afterwards`` what was seen after that.

    ``rules`` are the stage's own (None: those of the rollout). ``earlier_*`` are requests that were judged and left.
    ``ended_by`` says why people or an A/B test ended it, and ``ended_as`` how; empty when the judge's decision did.
    No lease covered ``lapsed_s`` of its time.
    """

    stage: Stage
    decided: Seen
    afterwards: Kept
    ticks: int
    rules: Rules | None = None
    earlier_stable: ArmTotals = NO_REQUESTS
    earlier_canary: ArmTotals = NO_REQUESTS
    ended_by: str = ""
    ended_as: Literal["abort", "roll-back"] = "abort"
    lapsed_s: float = 0.0


@dataclass(frozen=True)
class Lived:
    """All of a rollout. ``back`` is the way back to stable, None when every stage was promoted.

    ``users_exposed`` is None when all requests are there to count them, and in production when nobody can tell.
    ``uncounted`` are canary requests in no stage. With ``alone`` it is one stage of a rollout in production, taken by
    itself.
    """

    stages: Sequence[LivedStage]
    planned: int
    rules: Rules
    back: RolledBack | None
    mode: Literal["rehearsal", "production"] = "rehearsal"
    users_exposed: int | None = None
    uncounted: ArmTotals = NO_REQUESTS
    alone: bool = False


def outcome_of(step: Step) -> StageOutcome:
    """How a stage ends with its last step; one that still waited when the time was over is unfinished."""
    return _OUTCOMES[step.action]


def material_of(lived: Lived) -> dict[str, bytes]:
    """The raw material as it is kept, by attachment name: floats as they are, to the last bit."""
    phases: dict[str, Kept] = {}
    for number, one in enumerate(lived.stages):
        phases |= {_DECIDED.format(number): one.decided.requests, _AFTERWARDS.format(number): one.afterwards}
    rules, back = lived.rules, lived.back
    judged = {
        **rules_entry(rules),
        "mode": lived.mode,
        "users_exposed": lived.users_exposed,
        "uncounted": vars(lived.uncounted),
        "planned": lived.planned,
        "stage_alone": lived.alone,
        "stages": [_stage_entry(one) for one in lived.stages],
        "back": None if back is None else {name: getattr(back, name) for name in _BACK},
    }
    requests = {phase: requests_in(kept) for phase, kept in phases.items()}
    readings = [
        json.dumps({"phase": phase, **reading.as_json()}) + "\n"
        for phase, kept in phases.items()
        for reading in readings_in(kept)
    ]
    counted = {READINGS: "".join(readings).encode()} if readings else {}
    return {REQUESTS: keep_requests(requests), **counted, JUDGE: json.dumps(judged, indent=1).encode()}


def read_material(attachments: Attached) -> Lived:
    """The rollout of its raw material. Raises UnrecordedError for that of older versions."""
    judged = attached_json(attachments, JUDGE)
    phases: dict[str, Kept] = {**read_kept_requests(attached(attachments, REQUESTS)), **_read_readings(attachments)}
    stages = [
        _lived_stage(entry, phases.get(_DECIDED.format(number), []), phases.get(_AFTERWARDS.format(number), []))
        for number, entry in enumerate(judged["stages"])
    ]
    rules = read_rules(judged)
    back = None if judged["back"] is None else RolledBack(**judged["back"], requests=stages[-1].afterwards)
    mode, users = judged.get("mode", "rehearsal"), judged.get("users_exposed")
    uncounted, alone = ArmTotals(**judged.get("uncounted", {})), judged.get("stage_alone", False)
    return Lived(stages, judged["planned"], rules, back, mode, users, uncounted, alone)


def result_of(lived: Lived, router: str) -> RolloutResult:
    """The result of a rollout: every stage decided and judged again by its rules."""
    rules = [one.rules or lived.rules for one in lived.stages]
    steps = [decide_stage(one.decided, one.stage, its) for one, its in zip(lived.stages, rules, strict=True)]
    stages = [_stage_result(one, step, its) for one, step, its in zip(lived.stages, steps, rules, strict=True)]
    last = stages[-1]
    promoted = sum(stage.outcome == "promoted" for stage in stages)
    completed = promoted == lived.planned
    harmed = last.outcome == "rolled-back" and lived.back is not None
    seen = [r for one in lived.stages for kept in (one.decided.requests, one.afterwards) for r in requests_in(kept)]
    users = len({request.user_hash for request in seen if request.backend == "canary"})
    ended = "completed" if completed or last.outcome == "promoted" else last.outcome
    return RolloutResult(
        mode=lived.mode,
        router=router,
        completed=completed,
        outcome="unfinished" if lived.alone and ended == "completed" else ended,
        why=last.why,
        stages=stages,
        stages_completed=promoted,
        canary_requests=lived.uncounted.requests + sum(stage.canary.requests for stage in stages),
        canary_errors=lived.uncounted.errors + sum(stage.canary.errors for stage in stages),
        users_exposed=users if lived.mode == "rehearsal" else lived.users_exposed,
        requests_to_harm=_requests_to_harm(lived.stages[-1], steps[-1], stages),
        harm_to_stable_ms=lived.back.last_canary_ms if harmed and lived.back else None,
        ticks=sum(one.ticks for one in lived.stages),
        **(_of_stage(lived.stages[-1], last) if lived.alone else {}),
    )


def _of_stage(one: LivedStage, result: StageResult) -> dict[str, Any]:
    """What the evidence of one stage alone says besides."""
    return {
        "stage": result.stage,
        "share": result.share,
        "days": (one.decided.elapsed_s - one.lapsed_s) / 86400,
        "verdict": "harm" if result.outcome == "rolled-back" and not one.ended_by else overall(result.metrics),
    }


def measured(result: RolloutResult) -> Outcome:
    """The outcome of a rollout's measurement."""
    if result.completed or (result.stage is not None and result.stages_completed):
        return "passed"
    return "failed" if result.outcome == "rolled-back" else "inconclusive"


def summary_of(result: RolloutResult, stages: int) -> str:
    """A rollout in one line; ``stages`` is how many were planned."""
    if result.stage is not None and result.stages_completed:
        return f"stage {result.stage} for {duration_text((result.days or 0) * 86400)}: {result.why}"
    if result.completed:
        return f"all {stages} stages promoted, {result.canary_requests} canary requests, {result.canary_errors} errors"
    if result.outcome == "rolled-back":
        ms = "not measured" if result.harm_to_stable_ms is None else f"{result.harm_to_stable_ms:.1f} ms"
        after = "" if result.requests_to_harm is None else f" after {result.requests_to_harm} canary requests"
        return f"rolled back in stage {result.stages[-1].stage}{after}, all on stable within {ms}: {result.why}"
    return f"{result.outcome} in stage {result.stages[-1].stage}: {result.why}"


def rollout_of(attachments: Attached, router: str) -> RolloutResult:
    """The result of the raw material. Raises UnrecordedError, and IntegrityError when the journal says otherwise."""
    lived = read_material(attachments)
    result = result_of(lived, router)
    decided = [
        (_action_of(one, stage, lived.alone), stage.stage, stage.why)
        for one, stage in zip(lived.stages, result.stages, strict=True)
    ]
    entries = [json.loads(line) for line in attached(attachments, JOURNAL).decode().splitlines()]
    words = _ENDS | {SHOWN} if lived.alone else _ENDS
    done = [(e["action"], e["stage"], e["detail"]["why"]) for e in entries if e["action"] in words]
    if lived.alone:
        done = done[-1:]
    for ours, theirs in zip(decided, done, strict=False):
        if ours != theirs:
            raise IntegrityError(f"the journal says {' '.join(theirs)}, its requests say {' '.join(ours)}")
    if len(decided) != len(done):
        raise IntegrityError(f"the journal ends {len(done)} stages, and {len(decided)} were lived through")
    return result


def _action_of(one: LivedStage, result: StageResult, alone: bool) -> str:
    if one.ended_by:
        return one.ended_as
    if result.outcome == "promoted":
        return SHOWN if alone else "promote"
    return "roll-back"


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
        "rules": None if one.rules is None else rules_entry(one.rules),
        "earlier_stable": vars(one.earlier_stable),
        "earlier_canary": vars(one.earlier_canary),
        "ended_by": one.ended_by,
        "ended_as": one.ended_as,
        "lapsed_s": one.lapsed_s,
    }


def _read_readings(attachments: Attached) -> dict[str, list[Reading]]:
    """The readings of counters of each phase; none where requests were judged."""
    phases: dict[str, list[Reading]] = {}
    for line in attachments.get(READINGS, b"").decode().splitlines():
        kept = json.loads(line)
        phases.setdefault(kept.pop("phase"), []).append(Reading.of_json(kept))
    return phases


def _lived_stage(entry: Mapping[str, Any], requests: Kept, afterwards: Kept) -> LivedStage:
    decided = Seen(
        requests=requests,
        windows=[CanaryWindow(**window) for window in entry["windows"]],
        failures_in_a_row=failures_in_a_row(requests_in(requests)),
        **{name: entry[name] for name in _TOLD},
    )
    rules = entry.get("rules")
    return LivedStage(
        Stage.model_validate(entry["stage"]),
        decided,
        afterwards,
        entry["ticks"],
        rules=None if rules is None else read_rules(rules),
        earlier_stable=ArmTotals(**entry.get("earlier_stable", {})),
        earlier_canary=ArmTotals(**entry.get("earlier_canary", {})),
        ended_by=entry.get("ended_by", ""),
        ended_as=entry.get("ended_as", "abort"),
        lapsed_s=entry.get("lapsed_s", 0.0),
    )


def _stage_result(one: LivedStage, step: Step, rules: Rules) -> StageResult:
    decided, afterwards = one.decided.requests, one.afterwards
    stable, canary = one.earlier_stable, one.earlier_canary
    kept: Kept = [*requests_in(decided), *requests_in(afterwards)]
    if readings := readings_in(decided):
        # What was counted between the last reading of the stage and the first after it belongs to neither.
        kept, stable, canary = readings, stable.plus(afterwards, "stable"), canary.plus(afterwards, "canary")
    traffic, metrics = traffic_of(kept, rules.plan_metrics, edition=rules.edition), step.metrics
    outcome = outcome_of(step)
    if one.ended_by:
        outcome = "rolled-back" if one.ended_as == "roll-back" else "unfinished"
    if metrics and one.stage.share < 1:
        metrics = traffic.judge(rules.slo, harm_alpha=rules.harm_alpha, intervals=True)
    return StageResult(
        stage=one.stage.name,
        share=one.stage.share,
        duration_s=round(one.decided.elapsed_s, 3),
        stable=_with_earlier(traffic.counts("stable"), stable),
        canary=_with_earlier(traffic.counts("canary"), canary),
        metrics=list(metrics),
        outcome=outcome,
        why=one.ended_by or step.why,
    )


def _with_earlier(counts: ArmCounts, earlier: ArmTotals) -> ArmCounts:
    """Counts with those of requests that were left; times are those of the requests that are there."""
    if not earlier.requests:
        return counts
    requests, errors = counts.requests + earlier.requests, counts.errors + earlier.errors
    return counts.model_copy(update={"requests": requests, "errors": errors, "error_rate": errors / requests})


def _requests_to_harm(last: LivedStage, step: Step, stages: Sequence[StageResult]) -> int | None:
    if outcome_of(step) != "rolled-back" or last.ended_by:
        return None
    alarms = [m.first_alarm_at for m in step.metrics if m.first_alarm_at is not None]
    in_stage = min(alarms) if alarms else totals_of(last.decided.requests, "canary")[0]
    return sum(stage.canary.requests for stage in stages[:-1]) + last.earlier_canary.requests + in_stage
