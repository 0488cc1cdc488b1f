"""What the ticks of a rollout have seen, between two of them. Pure.

Requests are judged in epochs: an epoch ends when it holds enough requests, and the next one begins with none. That
bounds what is kept and what a tick computes. Epoch k of a stage may spend 6/(π k)² of the stage's false-rollback
budget; all epochs together spend the whole of it (union bound), so it holds however long a stage lasts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import pi
from typing import Any

from processes.resources import Resources
from rollouts.counters import Kept, Reading, fewest_of_canary, totals_of
from rollouts.samples import Arm, RequestSample
from rollouts.stage import REQUESTS_AT_LEAST
from rollouts.state import State
from rollouts.triggers import CanaryWindow, window_of
from rollouts.watch import CLOCK_STEP_S, LONGEST_WINDOW_S, WINDOW_REQUESTS, WINDOW_S

EPOCH_REQUESTS = 50_000
_LONGEST_EPOCH = 3 * EPOCH_REQUESTS
_WINDOWS_KEPT = 50


@dataclass(frozen=True)
class ArmTotals:
    """Requests and errors of one arm."""

    requests: int = 0
    errors: int = 0

    def plus(self, kept: Kept, arm: Arm) -> "ArmTotals":
        """With those of one arm among what was ``kept``."""
        requests, errors = totals_of(kept, arm)
        return ArmTotals(self.requests + requests, self.errors + errors)


NO_REQUESTS = ArmTotals()


@dataclass(frozen=True)
class RecordedStable:
    """The stable arm of the last stage that had one: what the candidate is held against when it is alone."""

    requests: int
    errors: int
    p95_ms: float
    rejections: int | None = None


@dataclass(frozen=True)
class Observation:
    """What was seen so far. Times are epoch seconds; ``earlier_*`` are totals of the stage's finished epochs.

    ``by`` is the journal entry from which requests count, ``chunks`` the number of pieces in which the epoch's requests
    are kept, ``window_from`` the index of the first request of the open window. ``uncounted`` are canary requests that
    were not judged: they began while a share changed. ``lapsed_s`` is for how long no tick renewed the stage's lease,
    which has held since ``leased_since_s`` (0: since the stage began).
    ``latest`` are the counters as they were last read, ``kept`` as they were last kept; since ``unread_since_s`` they
    could not be read, because of ``unread``.
    ``test`` says what the last reading of the outcomes of an A/B test found.
    """

    cursor: int = 0
    caught_up: bool = True
    by: int = 0
    stage: int = -1
    stage_epoch: int = 0
    epoch: int = 0
    chunks: int = 0
    began_s: float = 0.0
    last_request_s: float = 0.0
    window_from: int = 0
    window_began_s: float = 0.0
    windows: tuple[CanaryWindow, ...] = ()
    resources: Resources | None = None
    earlier_stable: ArmTotals = NO_REQUESTS
    earlier_canary: ArmTotals = NO_REQUESTS
    uncounted: ArmTotals = NO_REQUESTS
    lapsed_s: float = 0.0
    leased_since_s: float = 0.0
    recorded: RecordedStable | None = None
    reviewed_s: float = 0.0
    ticks: int = 0
    stage_ticks: int = 0
    last_tick_s: float = 0.0
    judged: dict[str, Any] = field(default_factory=dict)
    latest: Reading | None = None
    kept: Reading | None = None
    unread_since_s: float = 0.0
    unread: str = ""
    test: dict[str, Any] = field(default_factory=dict)

    @property
    def budget_share(self) -> float:
        """The part of the stage's false-rollback budget that this epoch may spend."""
        return 6 / (pi * max(1, self.stage_epoch)) ** 2

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "Observation":
        """As it was kept. Raises TypeError and KeyError for anything else."""
        if not kept:
            return cls()
        made: dict[str, Any] = dict(kept)
        made["windows"] = tuple(CanaryWindow(**window) for window in kept["windows"])
        made["resources"] = Resources(**kept["resources"]) if kept["resources"] else None
        made["recorded"] = RecordedStable(**kept["recorded"]) if kept["recorded"] else None
        for reading in ("latest", "kept"):
            made[reading] = Reading.of_json(kept[reading]) if kept.get(reading) else None
        for arm in ("earlier_stable", "earlier_canary", "uncounted"):
            made[arm] = ArmTotals(**kept[arm])
        return cls(**made)


def begin_where_the_journal_says(observation: Observation, state: State, phase_index: int) -> Observation:
    """A new epoch when the journal has a newer entry from which requests count; ``phase_index`` tells stages apart."""
    if state.observed_from is None or state.observed_by == observation.by:
        return observation
    began_s = state.observed_from.timestamp()
    same = phase_index == observation.stage
    return replace(
        _next_epoch(observation),
        by=state.observed_by,
        stage=phase_index,
        stage_epoch=observation.stage_epoch + 1 if same else 1,
        stage_ticks=observation.stage_ticks if same else 0,
        lapsed_s=observation.lapsed_s if same else 0.0,
        test=observation.test if same else {},
        began_s=began_s,
        last_request_s=began_s,
        window_began_s=began_s,
        windows=(),
        resources=None,
        earlier_stable=observation.earlier_stable if same else NO_REQUESTS,
        earlier_canary=observation.earlier_canary if same else NO_REQUESTS,
    )


def counted(
    observation: Observation, read: Sequence[RequestSample], *, split: bool
) -> tuple[Observation, list[RequestSample]]:
    """Those requests that count here; when they are ``split``, what began before was by another share and salt.

    Canary requests among the others are counted as uncounted: their users saw the candidate all the same.
    """
    first_s = observation.began_s + (CLOCK_STEP_S if split else 0.0)
    rest = [request for request in read if request.at_s < first_s]
    new = [request for request in read if request.at_s >= first_s]
    return replace(observation, uncounted=observation.uncounted.plus(rest, "canary")), new


def with_lapse(observation: Observation, now_s: float, lease_s: float) -> Observation:
    """With the time since the last tick that no lease covered: the candidate was not seen then."""
    last_s = max(observation.last_tick_s, observation.began_s)
    lapsed_s = max(0.0, now_s - last_s - lease_s)
    since_s = now_s if lapsed_s > 0 else observation.leased_since_s
    return replace(observation, lapsed_s=observation.lapsed_s + lapsed_s, leased_since_s=since_s)


def with_requests(
    observation: Observation,
    requests: Sequence[RequestSample],
    new: int,
    now_s: float,
    resources: Resources | None,
    memory_limit_bytes: float | None,
) -> Observation:
    """After a tick at ``now_s`` that saw the last ``new`` of the epoch's ``requests``; closes a window that is full."""
    latest = max((request.at_s for request in requests[len(requests) - new :]), default=0.0)
    window = window_of(requests[observation.window_from :])
    if is_over(observation, window.requests, now_s):
        observation = with_window(observation, window, len(requests), now_s, resources, memory_limit_bytes)
    return ticked(observation, max(observation.last_request_s, latest), now_s, resources)


def ticked(observation: Observation, last_request_s: float, now_s: float, resources: Resources | None) -> Observation:
    """After one more tick."""
    return replace(
        observation,
        last_request_s=last_request_s,
        resources=observation.resources or resources,
        ticks=observation.ticks + 1,
        stage_ticks=observation.stage_ticks + 1,
        last_tick_s=now_s,
    )


def is_over(observation: Observation, canary_requests: int, now_s: float) -> bool:
    """Whether the open window, which holds so many canary requests, ends now."""
    age_s = now_s - observation.window_began_s
    return age_s >= WINDOW_S and (canary_requests >= WINDOW_REQUESTS or age_s >= LONGEST_WINDOW_S)


def with_window(
    observation: Observation,
    window: CanaryWindow,
    next_from: int,
    now_s: float,
    resources: Resources | None,
    memory_limit_bytes: float | None,
) -> Observation:
    """With a window that has ended; the next one begins at index ``next_from`` of what is kept of the epoch."""
    cpu = _cores(observation.resources, resources, now_s - observation.window_began_s)
    memory = resources.rss_bytes / memory_limit_bytes if resources and memory_limit_bytes else None
    return replace(
        observation,
        windows=(*observation.windows, replace(window, cpu=cpu, memory=memory))[-_WINDOWS_KEPT:],
        window_from=next_from,
        window_began_s=now_s,
        resources=resources,
    )


def is_full(kept: Kept, needed: int) -> bool:
    """Whether an epoch holds enough requests to be ended; ``needed`` ones must fit in twice, for each metric."""
    requests = sum(totals_of(kept, arm)[0] for arm in ("canary", "stable"))
    enough = fewest_of_canary(kept) >= 2 * max(needed, REQUESTS_AT_LEAST)
    return requests >= _LONGEST_EPOCH or (requests >= EPOCH_REQUESTS and enough)


def after_epoch(observation: Observation, requests: Kept) -> Observation:
    """The stage goes on with a new epoch; what was seen is counted and left."""
    return replace(with_totals(_next_epoch(observation), requests), stage_epoch=observation.stage_epoch + 1)


def with_totals(observation: Observation, requests: Kept) -> Observation:
    """With the requests of a finished epoch in the totals of the stage."""
    return replace(
        observation,
        earlier_stable=observation.earlier_stable.plus(requests, "stable"),
        earlier_canary=observation.earlier_canary.plus(requests, "canary"),
    )


def _next_epoch(observation: Observation) -> Observation:
    return replace(observation, epoch=observation.epoch + 1, chunks=0, window_from=0)


def _cores(before: Resources | None, after: Resources | None, age_s: float) -> float | None:
    if before is None or after is None or before.created_at_s != after.created_at_s or age_s <= 0:
        return None
    return (after.cpu_s - before.cpu_s) / age_s
