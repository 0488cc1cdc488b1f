"""What the ticks of a rollout see where counters are the judge's source. Pure.

A reading is kept when the canary's requests have grown by a twentieth of what the epoch has of them, and by 50 at most:
what is kept stays bounded, and an alarm is late by no more than that. Where a window ends one is kept, too.
"""

from collections.abc import Sequence
from dataclasses import replace

from processes.resources import Resources
from rollouts.counters import Reading, counts_of_readings
from rollouts.observation import Observation, is_over, ticked, with_window
from rollouts.triggers import CanaryWindow

_GROWTH = 20
_MOST_UNKEPT = 50
_RECENT_S = 60.0
"""A reading that is older when an epoch begins does not begin it: nobody has looked meanwhile."""


def with_reading(
    observation: Observation,
    kept: Sequence[Reading],
    now: Reading | str,
    now_s: float,
    resources: Resources | None,
    memory_limit_bytes: float | None,
    *,
    keep_all: bool,
) -> tuple[Observation, list[Reading]]:
    """After a tick at ``now_s`` that read the counters, or says why it could not; and what is to be kept of it.

    ``kept`` are the readings of the epoch so far; the first one is where it counts from. That is the reading of the
    tick that began the epoch, or the first one after it.
    """
    is_read = isinstance(now, Reading)
    before, latest = observation.latest, now if isinstance(now, Reading) else observation.latest
    observation = replace(
        observation,
        latest=latest,
        unread="" if isinstance(now, Reading) else now,
        unread_since_s=0.0 if is_read else observation.unread_since_s or now_s,
    )
    if latest is None or not (kept or is_read):
        return ticked(observation, observation.last_request_s, now_s, resources), []
    first: list[Reading] = []
    if not kept:
        recent = before is not None and observation.began_s - before.at_s <= _RECENT_S
        kept = first = [before if before is not None and recent else latest]
        since = [] if observation.kept is None else [observation.kept, *first]
        observation = replace(observation, uncounted=observation.uncounted.plus(since, "canary"), kept=first[0])
    grew = any(counts_of_readings([before or latest, latest], arm).requests for arm in ("stable", "canary"))
    window = counts_of_readings([*kept[observation.window_from :], latest], "canary")
    over = is_over(observation, window.requests, now_s)
    due = is_read and (keep_all or _is_due(kept, latest))
    new = [latest] if latest != kept[-1] and (due or (over and window.requests)) else []
    if over:
        shown = CanaryWindow(window.requests, window.errors, unavailable=0, p95_ms=window.p95_ms)
        next_from = len(kept) + len(new) - 1
        observation = with_window(observation, shown, next_from, now_s, resources, memory_limit_bytes)
    observation = replace(observation, kept=latest if new else observation.kept)
    return ticked(observation, now_s if grew else observation.last_request_s, now_s, resources), first + new


def _is_due(kept: Sequence[Reading], latest: Reading) -> bool:
    so_far = counts_of_readings(kept, "canary").requests
    grown = counts_of_readings([kept[-1], latest], "canary").requests
    return grown >= max(1, min(_MOST_UNKEPT, so_far // _GROWTH))
