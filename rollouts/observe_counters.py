"""What a tick sees of a rollout whose judge looks at counters: read, commit, and hand what the epoch has of them on."""

from collections.abc import Collection
from dataclasses import replace

from processes.errors import CollectError
from rollouts.counters import Kept, Reading, readings_in
from rollouts.observation import Observation, with_lapse
from rollouts.observed_counters import with_reading
from rollouts.state import State
from rollouts.under_way import Rollout


def observe_counters(
    rollout: Rollout, state: State, observation: Observation, forget_epochs: Collection[int]
) -> tuple[Observation, Kept]:
    """Read the counters once, and commit what was seen; returns all readings of the epoch.

    Before the first stage they are read for where they stand: what the canary serves then is not its users' doing.
    """
    now_s = rollout.now().timestamp()
    if state.observed_from is None or state.outcome == "completed" or state.recorded:
        observation = replace(observation, last_tick_s=now_s)
        if state.phase == "waiting" and isinstance(before := _read(rollout), Reading):
            observation = replace(observation, latest=before, kept=before)
        rollout.store.save(observation, forget_epochs=forget_epochs)
        return observation, []
    resources = None
    if state.active:
        resources = rollout.resources()
        observation = with_lapse(observation, now_s, rollout.lease_s)
    kept = readings_in(rollout.store.requests(observation.epoch))
    observation, new = with_reading(
        observation,
        kept,
        _read(rollout),
        now_s,
        resources,
        rollout.spec.memory_limit,
        keep_all=not state.active,
    )
    observation = replace(observation, chunks=observation.chunks + bool(new))
    rollout.store.save(observation, new=new, forget_epochs=forget_epochs)
    return observation, kept + new


def begin_with(observation: Observation, before: Kept) -> tuple[Observation, list[Reading]]:
    """A new epoch counts from the last reading of the one before; of requests nothing is taken over."""
    last = readings_in(before)[-1:]
    return replace(observation, chunks=len(last)), last


def _read(rollout: Rollout) -> Reading | str:
    assert rollout.counters is not None, "only a rollout with counters gets here"
    try:
        return rollout.counters()
    except CollectError as error:
        return str(error)
