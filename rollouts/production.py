"""A real rollout as evidence, all of it or one stage: from its journal and what its ticks kept."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
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
from rollouts.observation import NO_REQUESTS, ArmTotals
from rollouts.roll_back import STABLE_REQUESTS_AFTER, WITHIN_S, RolledBack
from rollouts.rules import read_rules
from rollouts.stage import Seen
from rollouts.state import AB_TEST, State, state_of
from rollouts.triggers import CanaryWindow, failures_in_a_row
from rollouts.under_way import WATCH, Rollout, rules_of

_NO_USERS = "counters tell no users: neither how many saw the candidate, nor whether they were split as told"


def is_settled(rollout: Rollout, state: State) -> bool:
    """Whether enough was seen after the end to tell when the last canary request began, or nothing more comes."""
    back = _back(rollout, state)
    if back is None or back.settled or state.ended_at is None:
        return state.ended
    return (rollout.now() - state.ended_at).total_seconds() > WITHIN_S


def measurement_of(rollout: Rollout) -> Measurement | None:
    """The evidence of an ended rollout; None when no user ever saw its candidate."""
    entries = rollout.journal.entries()
    state = state_of(entries)
    assert state.ended_at is not None, "only a rollout that has ended is evidence of all of it"
    ends = _ends(entries)
    if not ends:
        return None
    lived = _lived(rollout, ends, _back(rollout, state))
    missing = lived.planned - len(lived.stages)
    measurement = _measured(rollout, lived, entries, entries[0].at, state.ended_at)
    left_out = [LeftOut("stages", missing, "the rollout ended before them")] if missing else []
    parameters = {**measurement.parameters, "outcome": state.outcome}
    return replace(measurement, parameters=parameters, left_out=[*measurement.left_out, *left_out])


def measurement_of_stage(rollout: Rollout, number: int) -> Measurement:
    """The evidence of one stage, by the journal's entry that says what it has shown, or how it ended."""
    entries = rollout.journal.entries()
    state, until = state_of(entries), entries[:number]
    entry = until[-1]
    back = _back(rollout, state) if entry.action in ("roll-back", "abort") else None
    lived = replace(_lived(rollout, [entry], back), uncounted=NO_REQUESTS, alone=True)
    began_at = entry.at - timedelta(seconds=entry.detail["elapsed_s"])
    measurement = _measured(rollout, lived, until, began_at, entry.at)
    return replace(measurement, parameters={**measurement.parameters, "entry": number})


def last_stage_ended_by(entries: Sequence[Entry]) -> Entry | None:
    """The entry that took the rollout back from its last stage; None when nothing did."""
    return next((entry for entry in _ends(entries)[-1:] if entry.action != "promote"), None)


def _measured(
    rollout: Rollout, lived: Lived, entries: Sequence[Entry], started_at: datetime, finished_at: datetime
) -> Measurement:
    material = material_of(lived)
    lines = (json.dumps(vars(entry) | {"at": entry.at.isoformat()}) + "\n" for entry in entries)
    material[JOURNAL] = "".join(lines).encode()
    result = rollout_of(material, rollout.router.kind)
    return Measurement(
        result=result,
        outcome=measured(result),
        summary=summary_of(result, lived.planned),
        started_at=started_at,
        finished_at=finished_at,
        tools={"router": rollout.router.kind, **{name: version(name) for name in ("numpy", "scipy")}},
        parameters={
            "router": rollout.router.kind,
            "rollout_id": rollout.journal.rollout_id,
            "false_rollback_budget": rollout.spec.false_rollback_budget,
            "lease_s": rollout.lease_s,
        },
        left_out=[LeftOut("users of canary requests", result.canary_requests, _NO_USERS)] if rollout.counters else [],
        attachments=[AttachmentContent(name, MEDIA_TYPES[name], content) for name, content in material.items()],
    )


def _ends(entries: Sequence[Entry]) -> list[Entry]:
    """The entries that ended a stage which users had seen."""
    return [e for e in entries if e.action in ("promote", "roll-back", "abort") and "epoch" in e.detail]


def _lived(rollout: Rollout, ends: Sequence[Entry], back: RolledBack | None) -> Lived:
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
        ended_by=detail["why"] if entry.action == "abort" or detail.get("by") == AB_TEST else "",
        ended_as="abort" if entry.action == "abort" else "roll-back",
        lapsed_s=detail.get("lapsed_s", 0.0),
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
        readings = readings_in(kept)
        # Prometheus may have scraped stable since, and not the canary.
        seen_since = bool(readings) and readings[-1].at_s > confirmed_s
        settled = seen_since and stable_after_canary(readings) >= STABLE_REQUESTS_AFTER
        return RolledBack(decided_s, confirmed_s, settled, kept)
    requests = requests_in(kept)
    last = max((r.at_s for r in requests if r.backend == "canary"), default=decided_s)
    after = sum(r.at_s > last for r in requests if r.backend == "stable")
    return RolledBack(decided_s, confirmed_s, after >= STABLE_REQUESTS_AFTER, requests)
