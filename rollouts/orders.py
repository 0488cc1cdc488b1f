"""What people order a rollout to do: pause, resume, abort."""

from decision.objectives import Stage
from processes.errors import UsageError
from rollouts.journal import Draft
from rollouts.state import State, state_of
from rollouts.under_way import Rollout, facts_of, irreversible, rules_of, seen_of, stage_of


def pause(rollout: Rollout, why: str) -> None:
    """Keep share and lease, judge on, promote nothing. Raises UsageError when that is no change."""
    state = _state(rollout)
    if state.hold:
        raise UsageError(f"the rollout is {state.hold} already")
    _write(rollout, state, "pause", {"why": why})


def resume(rollout: Rollout, why: str) -> None:
    """Go on after a pause or a freeze. After a freeze the stage is judged from now on. Raises UsageError."""
    state = _state(rollout)
    if not state.hold:
        raise UsageError("the rollout is neither paused nor frozen")
    _write(rollout, state, "resume", {"why": why})


def abort(rollout: Rollout, why: str, *, despite_irreversible: bool = False) -> None:
    """End the rollout: the next tick takes everything to stable. Raises UsageError where there is no way back."""
    state = _state(rollout)
    if (no_way_back := irreversible(rollout.spec, state)) is not None and not despite_irreversible:
        raise UsageError(f"there is no way back: {no_way_back} (--despite-irreversible goes back all the same)")
    observation = rollout.store.load()
    requests = rollout.store.requests(observation.epoch) if state.active else []
    facts = facts_of(seen_of(rollout, state, observation, requests), rules_of(rollout, observation), observation)
    _write(rollout, state, "abort", {"why": why, "to": 0, **(facts if state.active else {})})


def _state(rollout: Rollout) -> State:
    state = state_of(rollout.journal.entries())
    if state.ended or state.phase == "back":
        raise UsageError(f"the rollout has ended: {state.outcome}: {state.why}")
    return state


def _write(rollout: Rollout, state: State, action: str, detail: dict[str, object]) -> None:
    stage: Stage = stage_of(rollout.spec, state)
    draft = Draft(action, stage.name, state.at_most, detail)
    rollout.journal.append([draft], at=rollout.now(), after=state.number)
