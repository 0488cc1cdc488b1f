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

    ``kept`` are the readings of the epoch so far, and the first one is where it counts from: canary requests between
    the reading before and that one are not judged.
    """
    if isinstance(now, str):
        since_s = observation.unread_since_s or now_s
        observation = replace(observation, unread=now, unread_since_s=since_s)
    else:
        observation = replace(observation, unread="", unread_since_s=0.0)
    before, latest = observation.latest, observation.latest if isinstance(now, str) else now
    observation = replace(observation, latest=latest)
    if latest is None or not kept:
        observation = ticked(observation, observation.last_request_s, now_s, resources)
        if latest is None or isinstance(now, str):
            return observation, []
        since = [] if observation.kept is None else [observation.kept, latest]
        uncounted = observation.uncounted.plus(since, "canary")
        return replace(observation, uncounted=uncounted, window_began_s=now_s, kept=latest), [latest]
    seen = [before or latest, latest]
    grew = any(counts_of_readings(seen, arm).requests for arm in ("stable", "canary"))
    window = counts_of_readings([*kept[observation.window_from :], latest], "canary")
    over = is_over(observation, window.requests, now_s)
    due = isinstance(now, Reading) and (keep_all or _is_due(kept, latest))
    new = [latest] if latest != kept[-1] and (due or (over and window.requests)) else []
    if over:
        shown = CanaryWindow(window.requests, window.errors, unavailable=0, p95_ms=window.p95_ms)
        observation = with_window(observation, shown, len(kept) + len(new) - 1, now_s, resources, memory_limit_bytes)
    observation = replace(observation, kept=latest if new else observation.kept)
    return ticked(observation, now_s if grew else observation.last_request_s, now_s, resources), new


def _is_due(kept: Sequence[Reading], latest: Reading) -> bool:
    so_far = counts_of_readings(kept, "canary").requests
    grown = counts_of_readings([kept[-1], latest], "canary").requests
    return grown >= max(1, min(_MOST_UNKEPT, so_far // _GROWTH))
