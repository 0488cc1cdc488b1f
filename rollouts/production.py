"""A real rollout that has ended, as evidence: from its journal and what its ticks kept."""

import json
from collections.abc import Sequence
from importlib.metadata import version

from decision.objectives import Stage
from evidence.measurement import AttachmentContent, LeftOut, Measurement
from rollouts.counters import Kept, readings_in, requests_in, stable_after_canary
from rollouts.journal import Entry
from rollouts.lived import (
    JOURNAL,
    MEDIA_TYPES,
    Lived,
    LivedStage,
    material_of,
    measured,
    rollout_of,
    summary_of,
)
from rollouts.observation import ArmTotals
from rollouts.roll_back import STABLE_REQUESTS_AFTER, WITHIN_S, RolledBack
from rollouts.rules import read_rules
from rollouts.stage import Seen
from rollouts.state import State, state_of
from rollouts.triggers import CanaryWindow, failures_in_a_row
from rollouts.under_way import WATCH, Rollout, rules_of


def is_settled(rollout: Rollout, state: State) -> bool:
    """Whether enough was seen after the end to tell when the last canary request began, or nothing more comes."""
    back = _back(rollout, state)
    if back is None or back.settled or state.ended_at is None:
        return state.ended
    return (rollout.now() - state.ended_at).total_seconds() > WITHIN_S


def measurement_of(rollout: Rollout, rollout_id: str, tools: dict[str, str]) -> Measurement | None:
    """The evidence of an ended rollout; None when no user ever saw its candidate."""
    entries = rollout.journal.entries()
    state = state_of(entries)
    assert state.ended_at is not None, "only a rollout that has ended is evidence"
    lived = _lived(rollout, entries, state)
    if not lived.stages:
        return None
    material = material_of(lived)
    lines = (json.dumps(vars(entry) | {"at": entry.at.isoformat()}) + "\n" for entry in entries)
    material[JOURNAL] = "".join(lines).encode()
    result = rollout_of(material, rollout.router.kind)
    missing = lived.planned - len(lived.stages)
    left_out = [LeftOut("stages", missing, "the rollout ended before them")] if missing else []
    if rollout.counters is not None:
        why = "counters tell no users: neither how many saw the candidate, nor whether they were split as told"
        left_out.append(LeftOut("users of canary requests", result.canary_requests, why))
    return Measurement(
        result=result,
        outcome=measured(result),
        summary=summary_of(result, lived.planned),
        started_at=entries[0].at,
        finished_at=state.ended_at,
        tools={**tools, **{name: version(name) for name in ("numpy", "scipy")}},
        parameters={
            "router": rollout.router.kind,
            "rollout_id": rollout_id,
            "false_rollback_budget": rollout.spec.false_rollback_budget,
            "lease_s": rollout.lease_s,
            "outcome": state.outcome,
        },
        left_out=left_out,
        attachments=[AttachmentContent(name, MEDIA_TYPES[name], content) for name, content in material.items()],
    )


def _lived(rollout: Rollout, entries: Sequence[Entry], state: State) -> Lived:
    ends = [e for e in entries if e.action in ("promote", "roll-back", "abort") and "epoch" in e.detail]
    back = _back(rollout, state)
    stages = [_stage(rollout, e, back.requests if back and e is ends[-1] else []) for e in ends]
    observation = rollout.store.load()
    users = None if rollout.counters is not None else rollout.store.users_exposed()
    rules, planned = rules_of(rollout, observation), len(rollout.spec.stages) + 1
    return Lived(stages, planned, rules, back, "production", users, observation.uncounted)


def _stage(rollout: Rollout, entry: Entry, afterwards: Kept) -> LivedStage:
    detail = entry.detail
    requests = rollout.store.requests(detail["epoch"], detail["chunks"])
    stage = next((s for s in rollout.spec.stages if s.name == entry.stage), Stage(name=WATCH, share=1.0))
    seen = Seen(
        requests=requests,
        windows=[CanaryWindow(**window) for window in detail["windows"]],
        failures_in_a_row=failures_in_a_row(requests_in(requests)),
        elapsed_s=detail["elapsed_s"],
        silent_s=detail["silent_s"],
        traffic_alive=True,
    )
    return LivedStage(
        stage,
        seen,
        afterwards,
        detail["ticks"],
        rules=read_rules(detail["rules"]),
        earlier_stable=ArmTotals(**detail["earlier_stable"]),
        earlier_canary=ArmTotals(**detail["earlier_canary"]),
        ended_by=detail["why"] if entry.action == "abort" else "",
    )


def _back(rollout: Rollout, state: State) -> RolledBack | None:
    """The way back and the requests after its decision; None for a rollout that did not go back."""
    if state.decided_at is None:
        return None
    observation = rollout.store.load()
    kept = rollout.store.requests(observation.epoch) if observation.by == state.observed_by else []
    decided_s = state.decided_at.timestamp()
    confirmed_s = decided_s if state.ended_at is None else state.ended_at.timestamp()
    if rollout.counters is not None:
        settled = stable_after_canary(readings_in(kept)) >= STABLE_REQUESTS_AFTER
        return RolledBack(decided_s, confirmed_s, settled, kept)
    requests = requests_in(kept)
    last = max((r.at_s for r in requests if r.backend == "canary"), default=decided_s)
    after = sum(r.at_s > last for r in requests if r.backend == "stable")
    return RolledBack(decided_s, confirmed_s, after >= STABLE_REQUESTS_AFTER, requests)
