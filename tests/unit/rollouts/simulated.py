"""A rollout in simulated time: a clock that tests set, and a router in memory that serves synthetic requests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from decision.objectives import Slo, Stage
from decision.rollout_spec import RolloutSpec
from decision.schedule import Schedule
from processes.resources import Resources
from rollouts.assignment import is_exposed, salt_key, user_hash
from rollouts.counters import Reading
from rollouts.journal import Draft, Journal
from rollouts.observation import Observation
from rollouts.running_router import Routing
from rollouts.samples import RequestSample
from rollouts.state import State, state_of
from rollouts.tick import tick
from rollouts.tick_store import RolloutRow, TickStore, start_rollout
from rollouts.under_way import Rollout, Waits
from tests.unit.rollouts.requests import SLO

DEPLOY = datetime(2025, 10, 22, 14, tzinfo=UTC)
STAGES = [
    {"name": "canary", "share": "5%", "minimum": "7d", "requests": 200, "salt": "canary"},
    {"name": "ab-test", "share": "50%", "minimum": "14d", "requests": 1000, "salt": "ab"},
    {"name": "full", "share": "100%", "requests": 300},
]


@dataclass
class SimulatedRouter:
    """Assigns like the embedded proxy and logs into a list."""

    now: Callable[[], datetime]
    slots: int = 0
    salt_key: str = ""
    lease_until_s: float = 0.0
    log: list[RequestSample] = field(default_factory=list)
    users: int = 5000
    kind: str = "embedded"
    canary_errors: float = 0.0
    stable_errors: float = 0.0
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def read(self) -> Routing:
        return Routing(self.slots, self.salt_key, max(0.0, self.lease_until_s - self.now().timestamp()))

    def set_share(self, slots: int, salt: str) -> None:
        self.slots, self.salt_key = slots, salt_key(salt)

    def renew_lease(self, seconds: float) -> None:
        self.lease_until_s = self.now().timestamp() + seconds

    def requests_since(self, cursor: int) -> tuple[list[RequestSample], int, bool]:
        return self.log[cursor:], len(self.log), True

    def serve(self, count: int, over_s: float) -> None:
        """So many requests, spread over the seconds before now."""
        now_s = self.now().timestamp()
        for n in range(count):
            user = f"user-{self.random.integers(self.users)}"
            at_s = now_s - over_s + over_s * (n + 0.5) / count
            assigned = "canary" if is_exposed(user, self.salt_key, self.slots) else "stable"
            backend = assigned if at_s < self.lease_until_s else "stable"
            rate = self.canary_errors if backend == "canary" else self.stable_errors
            status = 500 if self.random.random() < rate else 200
            latency_ms = float(self.random.lognormal(1.6, 0.3))
            self.log.append(RequestSample(at_s, backend, status, latency_ms, user_hash(user), assigned))


def used(rss_bytes: float, cpu_s: float) -> Resources:
    return Resources(1, 0.0, int(rss_bytes), cpu_s, open_files=None, threads=None, connections=None)


@dataclass
class Simulation:
    """A rollout whose every part is real but time, router and users."""

    folder: Path
    spec: RolloutSpec
    at: datetime = DEPLOY
    schedule: Schedule = field(default_factory=lambda: Schedule(authorize=DEPLOY, deploy=DEPLOY))
    lacking: dict[str, str] = field(default_factory=dict)
    lease_s: float = 3600.0
    slo: Slo = field(default_factory=lambda: dict(SLO))
    resources: Callable[[float], Resources | None] = lambda at_s: used(100e6, 0.1 * at_s)
    counters: Callable[[], Reading] | None = None

    def __post_init__(self) -> None:
        self.router: Any = SimulatedRouter(lambda: self.at)
        self.journal = Journal(f"sqlite:///{self.folder / 'ledger.sqlite'}", "r")
        self.store = TickStore(self.journal.engine, "r")
        self.waits = Waits("")
        row = RolloutRow("r", "shop-2", "dirHash1:0", "0" * 64, self.at.isoformat(), 0)
        first = Draft("start", self.spec.stages[0].name, 0, {"why": "a test"})
        start_rollout(self.journal.engine, row, Observation(), first)

    @property
    def rollout(self) -> Rollout:
        return Rollout(
            journal=self.journal,
            store=self.store,
            router=self.router,
            lease_s=self.lease_s,
            spec=self.spec,
            schedule=self.schedule,
            slo=self.slo,
            lacks=lambda stage: self.lacking.get(stage.name),
            resources=lambda: self.resources(self.at.timestamp()),
            now=lambda: self.at,
            counters=self.counters,
        )

    @property
    def state(self) -> State:
        return state_of(self.journal.entries())

    def pass_time(self, seconds: float, *, requests: int = 0, ticks: int = 1) -> State:
        """Let time go by, with requests and a tick in each of ``ticks`` equal parts of it."""
        for _ in range(ticks):
            self.at += timedelta(seconds=seconds / ticks)
            self.router.serve(requests // ticks, seconds / ticks)
            state, self.waits = tick(self.rollout)
        return state

    def did(self) -> list[str]:
        return [entry.action for entry in self.journal.entries() if entry.action != "confirm"]

    def when(self, action: str) -> list[tuple[str, datetime]]:
        return [(e.stage, e.at) for e in self.journal.entries() if e.action == action]


def spec_of(stages: list[dict[str, Any]] | None = None, **more: Any) -> RolloutSpec:
    parsed = tuple(Stage.model_validate(stage) for stage in (stages or STAGES))
    return RolloutSpec.model_validate({"stages": parsed, "memory_limit": "512MB", **more})
