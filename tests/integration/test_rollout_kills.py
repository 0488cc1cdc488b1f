"""A tick that is killed (SIGKILL) between any two of its steps: what the router does then, and how it goes on.

The steps are all writes into the database (journal, observation), all that is told to the router (share, lease) and all
that is signed. Every tick runs in a process of its own and dies there; the router lives in a file, as one does that
runs by itself, and so does what was signed.
"""

import json
import os
import pickle
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from decision.ab_metrics import Outcomes
from decision.objectives import Stage
from evidence.measurement import Measurement
from evidence.results import Result
from rollouts.assignment import salt_key, user_hash
from rollouts.journal import Journal
from rollouts.orders import abort
from rollouts.running_router import Routing
from rollouts.state import state_of
from rollouts.tick import tick
from rollouts.tick_store import TickStore
from rollouts.under_way import Rollout
from tests.unit.rollouts.simulated import SimulatedEvidence, SimulatedRouter, Simulation, spec_of

STAGES = [
    {"name": "canary", "share": "10%", "requests": 300, "salt": "a"},
    {
        "name": "ab-test",
        "share": "50%",
        "requests": 300,
        "salt": "b",
        "metrics": {"won": {"type": "proportion", "baseline": "40%", "expected": "60%"}},
        "outcomes": {"from": "outcomes.csv", "user": "user"},
    },
    {"name": "full", "share": "100%", "requests": 300},
]


class Fuse:
    """Counts steps, and kills this process before the one that it was set to: the one before it was the last."""

    def __init__(self, at: int | None) -> None:
        self.at, self.count = at, 0

    def through(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments, **named)

        return stepped


class FileRouter(SimulatedRouter):
    """A router whose share and lease are in a file: they outlive whoever set them."""

    def __init__(self, now: Callable[[], Any], file: Path) -> None:
        super().__init__(now)
        self.file = file
        self._write(slots=0, salt_key="", lease_until_s=0.0)

    def _read(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text()))

    def _write(self, **changed: Any) -> None:
        known = self._read() if self.file.exists() else {}
        beside = self.file.with_suffix(".new")
        beside.write_text(json.dumps(known | changed))
        beside.rename(self.file)

    def sync(self) -> None:
        for name, value in self._read().items():
            setattr(self, name, value)

    def read(self) -> Routing:
        self.sync()
        return super().read()

    def set_share(self, slots: int, salt: str) -> None:
        self._write(slots=slots, salt_key=salt_key(salt))

    def renew_lease(self, seconds: float) -> None:
        self._write(lease_until_s=self.now().timestamp() + seconds)


class FileEvidence(SimulatedEvidence):
    """What was signed, one pickled measurement after the other."""

    def __init__(self, file: Path, simulation: Simulation, canary_wins: float) -> None:
        super().__init__({"canary", "ab-test"})
        self.file, self.simulation, self.canary_wins = file, simulation, canary_wins
        file.touch()

    def signed(self, kind: str, entry: int) -> Result | None:
        self.kept = list(self.measurements())
        return super().signed(kind, entry)

    def sign(self, stage: Stage, kind: str, measurement: Measurement) -> None:
        with self.file.open("ab") as file:
            pickle.dump(measurement, file)

    def outcomes(self, outcomes: Outcomes, timeout_s: float) -> bytes:
        seen, chance = dict(self.simulation.store.exposures("ab-test")), random.Random(1)
        lines = ["user,won"]
        for number in range(self.simulation.router.users):
            rate = self.canary_wins if seen.get(user_hash(f"user-{number}")) == "canary" else 0.4
            lines.append(f"user-{number},{int(chance.random() < rate)}")
        return "\n".join([*lines, ""]).encode()

    def measurements(self) -> Iterator[Measurement]:
        with self.file.open("rb") as file:
            while file.peek(1):
                yield pickle.load(file)

    def names(self) -> list[tuple[str, object]]:
        return [(one.kind, one.parameters["entry"]) for one in self.measurements()]


class Killed:
    """A rollout each of whose ticks is a process, one of which is killed."""

    def __init__(self, folder: Path, canary_wins: float) -> None:
        folder.mkdir()
        self.steps = 0
        self.simulation = Simulation(folder, spec_of(STAGES, watch="1m"), lease_s=90.0)
        self.router = self.simulation.router = FileRouter(lambda: self.simulation.at, folder / "router.json")
        self.evidence = FileEvidence(folder / "evidence", self.simulation, canary_wins)

    def tick(self, fuse: Fuse) -> int:
        """One tick in a process of its own; returns how it ended, and for a tick that ended well its steps."""
        simulation = self.simulation
        simulation.at += timedelta(seconds=60)
        self.router.sync()
        self.router.serve(2000, 60)
        simulation.journal.engine.dispose()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self._tick(fuse)
                os.write(write, b"%d" % fuse.count)
                os._exit(0)
            except BaseException as error:  # noqa: BLE001 - told to the parent by the exit code
                os.write(2, repr(error).encode())
                os._exit(1)
        os.close(write)
        _, status = os.waitpid(child, 0)
        with os.fdopen(read) as answer:
            steps = answer.read()
        self.router.sync()
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, -signal.SIGKILL)
        return int(steps) if code == 0 else -1

    def _tick(self, fuse: Fuse) -> None:
        journal = Journal(str(self.simulation.journal.engine.url), "r")
        store = TickStore(journal.engine, "r")
        journal.append = fuse.through(journal.append)  # type: ignore[method-assign]
        object.__setattr__(store, "save", fuse.through(store.save))
        for step in ("set_share", "renew_lease"):
            setattr(self.router, step, fuse.through(getattr(self.router, step)))
        self.evidence.sign = fuse.through(self.evidence.sign)  # type: ignore[method-assign]
        rollout: Rollout = replace(
            self.simulation.rollout, journal=journal, store=store, router=self.router, evidence=self.evidence
        )
        tick(rollout)

    def more_canary_than_the_journal_says(self) -> bool:
        return self.router.slots > state_of(self.simulation.journal.entries()).at_most


def live(folder: Path, *, bad_from: int | None, abort_at: int | None, wins: float, kill_at: int | None) -> Killed:
    """A whole rollout; ``kill_at`` counts steps over all its ticks, ``wins`` is the canary's rate in the A/B test."""
    killed, steps, burnt = Killed(folder, wins), 0, kill_at is None
    for number in range(30):
        if number == bad_from:
            killed.router.canary_errors = 0.3
        if number == abort_at:
            abort(killed.simulation.rollout, "enough")
        done = killed.tick(Fuse(None if burnt or kill_at is None else kill_at - steps))
        assert not killed.more_canary_than_the_journal_says()
        if done < 0:
            burnt = True
            lapsed = killed.router.lease_until_s <= (killed.simulation.at + timedelta(seconds=90)).timestamp()
            assert lapsed or killed.simulation.state.outcome == "completed"
        else:
            steps += done
        if done >= 0 and killed.simulation.state.ended:
            break
    killed.steps = steps
    return killed


@pytest.mark.parametrize(
    ("bad_from", "abort_at", "wins", "outcome", "slots"),
    [
        (None, None, 0.6, "completed", 10_000),
        (3, None, 0.6, "rolled-back", 0),
        (None, 3, 0.6, "aborted", 0),
        (None, None, 0.2, "rolled-back", 0),
    ],
    ids=["promoted to everyone", "rolled back", "aborted", "worse in the A/B test"],
)
def test_a_tick_killed_at_any_step_leaves_no_more_canary_traffic_than_the_journal_says_and_the_next_one_goes_on(
    tmp_path, bad_from, abort_at, wins, outcome, slots
):
    whole = live(tmp_path / "whole", bad_from=bad_from, abort_at=abort_at, wins=wins, kill_at=None)
    assert whole.simulation.state.outcome == outcome
    told = [entry.action for entry in whole.simulation.journal.entries() if entry.action != "confirm"]
    count = whole.steps
    assert count > 12
    for kill_at in range(1, count + 1):
        killed = live(tmp_path / str(kill_at), bad_from=bad_from, abort_at=abort_at, wins=wins, kill_at=kill_at)
        where = f"killed before step {kill_at}"
        assert killed.simulation.state.outcome == outcome, where
        assert killed.router.slots == slots, where
        did = [entry.action for entry in killed.simulation.journal.entries() if entry.action != "confirm"]
        assert did == told, where
        signed = killed.evidence.names()
        assert len(signed) == len(set(signed)), f"{where}: something was signed twice"
        assert [kind for kind, _ in signed] == [kind for kind, _ in whole.evidence.names()], where
        killed.simulation.journal.engine.dispose()
