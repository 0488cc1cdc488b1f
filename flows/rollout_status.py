"""What ``gonogo rollout status`` tells: where a rollout stands, what was seen, and what it waits for."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from decision.quantities import duration_text
from flows.staged_rollout import Staged
from processes.errors import ProcessError
from reports.formats import minute, percent
from rollouts.assignment import SLOTS
from rollouts.journal import Entry
from rollouts.observation import ArmTotals, Observation
from rollouts.state import State, state_of
from rollouts.under_way import Rollout, irreversible, stage_of, waits_for

_ENTRIES = 12
_PHASES = {
    "waiting": "waits to begin",
    "stage": "under way",
    "watch": "watched after the last stage",
    "back": "goes back",
}


def status_of(staged: Staged) -> dict[str, Any]:
    """Everything as JSON: shares are ratios from 0 to 1, times ISO 8601 in UTC, durations seconds."""
    rollout = staged.rollout
    entries = rollout.journal.entries()
    state, observation = state_of(entries), rollout.store.load()
    waits = None if state.ended or state.phase == "back" else waits_for(rollout, state)
    router, problem = _router(rollout)
    last_tick_at = datetime.fromtimestamp(observation.last_tick_s, UTC) if observation.last_tick_s else None
    return {
        "rollout_id": staged.rollout_id,
        "release": staged.plan_file.plan.release,
        "subject": staged.started.subject.digest,
        "phase": state.phase,
        "hold": state.hold or None,
        "outcome": state.outcome or None,
        "why": state.why,
        "stage": stage_of(rollout.spec, state).name if state.stage >= 0 else None,
        "share": state.at_most / SLOTS,
        "since": _text(state.began_at),
        "irreversible": irreversible(rollout.spec, state),
        **_seen(rollout, state, observation, entries),
        "judge": observation.judged or None,
        "waits_for": waits.why if waits else None,
        "next_at": _text(waits.next_at) if waits else None,
        "last_tick_at": _text(last_tick_at),
        "router": router,
        "router_problem": problem,
        "recorded": state.recorded,
        "journal": [
            {"number": e.number, "at": _text(e.at), "action": e.action, "stage": e.stage,
             "canary_slots": e.canary_slots, "why": e.detail.get("why", "")}
            for e in entries[-_ENTRIES:]
        ],
    }  # fmt: skip


def status_text(status: dict[str, Any], now: datetime) -> str:
    """A status for people."""
    stands = status["hold"] or status["outcome"] or _PHASES[status["phase"]]
    lines = [f"Rollout {status['rollout_id']}: {stands}"]
    if status["why"]:
        lines.append(f"  because      {status['why']}")
    if status["stage"] is not None:
        since = datetime.fromisoformat(status["since"]) if status["since"] else None
        ago = f", for {duration_text((now - since).total_seconds())}" if since and not status["outcome"] else ""
        lines.append(f"  stage        {status['stage']}, share {percent(status['share'])}{ago}")
    if status["irreversible"]:
        lines.append(f"  no way back  {status['irreversible']}")
    for arm in ("stable", "canary"):
        seen = status[arm]
        lines.append(f"  {arm:12} {seen['requests']:,} requests, {seen['errors']:,} errors")
    users = status["users_exposed"]
    lines.append(f"  exposed      {'counters tell no users' if users is None else f'{users:,} users'}")
    if status["judge"]:
        lines.append(f"  judge        {status['judge']['action']}: {status['judge']['why']}")
        if status["judge"]["action"] == "wait" and status["judge"]["needs_requests"]:
            lines.append(f"               about {status['judge']['needs_requests']:,} more canary requests are needed")
    if status["waits_for"]:
        lines.append(f"  waits        {status['waits_for']}")
    if status["next_at"]:
        lines.append(f"  next at      {minute(datetime.fromisoformat(status['next_at']))}")
    last = datetime.fromisoformat(status["last_tick_at"]) if status["last_tick_at"] else None
    lines.append(f"  last tick    {duration_text((now - last).total_seconds()) + ' ago' if last else 'none yet'}")
    lines.append(f"  router       {_router_text(status)}")
    lines += ["", "  Journal"]
    lines += [_entry_text(entry) for entry in status["journal"]]
    return "\n".join(lines)


def _entry_text(entry: dict[str, Any]) -> str:
    at, share = minute(datetime.fromisoformat(entry["at"])), entry["canary_slots"] / SLOTS
    return (
        f"  {entry['number']:>4}  {at}  {entry['action']:9} {entry['stage']:10} {share:>6.1%}  {entry['why']}".rstrip()
    )


def _router_text(status: dict[str, Any]) -> str:
    router = status["router"]
    if router is None:
        return f"cannot be asked: {status['router_problem']}"
    left_s = router["lease_left_s"]
    lease = "lapsed: everyone is on stable" if left_s <= 0 else f"holds for {duration_text(left_s)} more"
    return f"{router['kind']}, share {percent(router['share'])}, lease {lease}"


def _router(rollout: Rollout) -> tuple[dict[str, Any] | None, str | None]:
    try:
        routing = rollout.router.read()
    except ProcessError as error:
        return None, str(error)
    facts = {"kind": rollout.router.kind, "share": routing.slots / SLOTS, "lease_left_s": routing.lease_left_s}
    return facts, None


def _seen(rollout: Rollout, state: State, observation: Observation, entries: Sequence[Entry]) -> dict[str, Any]:
    """Requests and errors of each arm in this stage, of an ended rollout in its last one."""
    last = next((e.detail for e in reversed(entries) if "epoch" in e.detail), None) if state.outcome else None
    if last is not None:
        requests = rollout.store.requests(last["epoch"], last["chunks"])
        stable, canary = ArmTotals(**last["earlier_stable"]), ArmTotals(**last["earlier_canary"])
    else:
        requests = rollout.store.requests(observation.epoch) if state.observed_by == observation.by else []
        stable, canary = observation.earlier_stable, observation.earlier_canary
    return {
        "stable": vars(stable.plus(requests, "stable")),
        "canary": vars(canary.plus(requests, "canary")),
        "users_exposed": None if rollout.counters is not None else rollout.store.users_exposed(),
        "ticks": observation.ticks,
        "lapsed_s": observation.lapsed_s,
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
