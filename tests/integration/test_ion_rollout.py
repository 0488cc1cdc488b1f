"""The 22 days of the bundled plan's rollout on a simulated clock, with a real ledger: what each stage shows in
production is signed there, and is what the authorization of the next level rests on."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from decision.claims import ClaimVerdict
from decision.collect import is_lived
from decision.decide import decide
from decision.inputs import subject_of, wanted_of
from decision.levels import levels_up_to
from decision.objectives import Stage
from decision.plan_file import PlanFile, read_plan
from evidence.record import Record
from evidence.store import open_store
from flows.replay import replay_ledger
from flows.stage_evidence import LedgerEvidence
from rollouts.assignment import user_hash
from rollouts.proving import sign_how_it_ended
from rollouts.started import Started, read_started
from tests.unit.rollouts.simulated import SimulatedRouter, Simulation

ION = Path(__file__).resolve().parents[2] / "releases" / "ion-phase4"
LIVED = ("canary-7d", "ab-14d", "ab-better")


class IonRollout:
    """The bundled plan, for a subject of one file. Margins are wider: a day has fewer requests than in production."""

    def __init__(self, folder: Path, accuracy: dict[str, float]) -> None:
        release = folder / "releases" / "ion-phase4"
        shutil.copytree(ION, release)
        (folder / "engines").mkdir()
        (folder / "engines" / "engine.py").write_text("VERSION = 4\n")
        self.path, self.accuracy = release / "plan.yaml", accuracy
        self.edit("worse_than_stable_by: 0.5pp", "worse_than_stable_by: 3pp")
        self.edit("worse_than_stable_by: 10%", "worse_than_stable_by: 100%")
        self.plan_file, self.store = read_plan(self.path), open_store(folder / "home")
        plan, subject = self.plan_file.plan, subject_of(self.plan_file)
        kept = Started(subject, self.plan_file.digest, plan.rollout, plan.schedule, plan.slo, "/metrics").as_detail()
        self.asked: list[tuple[str, datetime]] = []
        self.simulation = Simulation(
            folder / "home", plan.rollout, at=plan.schedule.deploy - timedelta(hours=6), schedule=plan.schedule,
            lease_s=7 * 3600.0, slo=plan.slo, asks=self.lacks,
        )  # fmt: skip
        # The rollout goes by what the journal keeps of the plan, the authorizations by the plan as it is.
        (entry,) = self.simulation.journal.entries()
        self.started = read_started(type(entry)(**vars(entry) | {"detail": kept}))
        self.simulation.evidence = LedgerEvidence(self.plan_file, self.store, "r", self.started)
        self.simulation.spec, self.simulation.slo = self.started.spec, self.started.slo
        self.simulation.router = SimulatedRouter(lambda: self.simulation.at, users=6000)

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new))

    def verdicts(self, plan_file: PlanFile | None = None) -> dict[str, ClaimVerdict]:
        plan_file = plan_file or self.plan_file
        records, invalid = self.store.records(self.started.subject.digest)
        assert invalid == []
        wanted, now = wanted_of(plan_file), self.simulation.at
        decision = decide(plan_file.plan, records, wanted, level="full", now=now, plan_digest=plan_file.digest)
        return {claim.id: claim for claim in decision.claims}

    def lacks(self, stage: Stage) -> str | None:
        """What the stage's level lacks of what only production can show: the rest is not what is tested here."""
        self.asked.append((stage.name, self.simulation.at))
        levels, collect = set(levels_up_to(stage.asks_for())), self.plan_file.plan.collect
        lived = [claim for claim in self.verdicts().values() if is_lived(collect[claim.needs])]
        lacking = [claim for claim in lived if set(claim.gates) & levels and claim.verdict != "PROVEN"]
        return "; ".join(f"{claim.says}: {claim.reasons[0]}" for claim in lacking) or None

    def write_outcomes(self) -> None:
        """Two recommendations of each user, of strangers too, and one from long before the test."""
        random, arms = np.random.default_rng(4), dict(self.simulation.store.exposures("ab-test"))
        before, now = self.simulation.at - timedelta(days=30), self.simulation.at
        rows = ["at,user_id,accuracy\n"]
        for number in range(6100):
            rate = self.accuracy[arms.get(user_hash(f"user-{number}"), "stable")]
            rows.append(f"{before.isoformat()},user-{number},1\n")
            rows += [f"{now.isoformat()},user-{number},{int(random.random() < rate)}\n" for _ in range(2)]
        (self.path.parent / "run").mkdir(exist_ok=True)
        (self.path.parent / "run" / "outcomes.csv").write_text("".join(rows))

    def live(self) -> None:
        """A tick every three hours until the rollout has ended, within forty days."""
        until = self.simulation.at + timedelta(days=40)
        while not self.simulation.state.ended:
            assert self.simulation.at < until, self.simulation.waits
            self.simulation.pass_time(3 * 3600, requests=400)
            began_at = self.simulation.state.began_at
            if self.simulation.state.stage == 1 and began_at and self.simulation.at - began_at >= timedelta(days=13.8):
                self.write_outcomes()

    def record_of(self, collector: str) -> Record:
        records, _ = self.store.records(self.started.subject.digest)
        return [record for record in records if record.collector == collector][-1]


@pytest.fixture
def ion(tmp_path):
    made: list[IonRollout] = []

    def make(stable: float, canary: float) -> IonRollout:
        made.append(IonRollout(tmp_path, {"stable": stable, "canary": canary}))
        return made[0]

    yield make
    made[0].store.ledger.close()


def at(*when: int) -> datetime:
    return datetime(2025, *when, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_twenty_two_days_prove_canary_and_ab_test_one_after_the_other(ion: Callable[..., IonRollout]) -> None:
    release = ion(stable=0.42, canary=0.50)
    assert {release.verdicts()[claim].verdict for claim in LIVED} == {"NOT PROVEN"}
    release.live()
    simulation = release.simulation
    assert simulation.state.outcome == "completed", simulation.state
    assert simulation.when("expose") == [
        ("canary", at(10, 22, 14)), ("ab-test", at(10, 30, 14)), ("full", at(11, 13, 14))
    ]  # fmt: skip
    assert simulation.when("show") == [("canary", at(10, 29, 14)), ("ab-test", at(11, 13, 14))]
    assert [action for action in simulation.did() if action not in ("review", "show", "record")] == [
        "start", "expose", "promote", "expose", "look", "verdict", "promote", "expose", "promote", "watch", "promote",
        "complete",
    ]  # fmt: skip
    first_asked = dict(reversed(release.asked))
    assert first_asked["ab-test"] >= release.record_of("canary-in-production").finished_at
    assert first_asked["full"] >= release.record_of("ab-outcomes").finished_at
    verdicts = release.verdicts()
    assert {claim: verdicts[claim].verdict for claim in LIVED} == dict.fromkeys(LIVED, "PROVEN")
    observed = {c.field: c.observed for c in verdicts["canary-7d"].criteria}
    assert observed["days"] == 7.0
    assert observed["share"] == 0.05
    test = release.record_of("ab-outcomes")
    assert {one.why for one in test.left_out} >= {"of users who were not seen in the stage", "from before the stage"}
    replay = replay_ledger(release.store)
    assert replay.problem is None
    assert replay.replayed == {"rollout": 2, "ab-test": 1}

    release.edit("name: canary, share: 5%", "name: canary, share: 4%")
    changed = release.verdicts(read_plan(release.path))["canary-7d"]
    assert changed.reasons == ("no evidence from canary-in-production: changed since it was measured: plan stage",)


def test_a_candidate_that_users_do_worse_with_is_taken_back_on_day_22(ion: Callable[..., IonRollout]) -> None:
    release = ion(stable=0.48, canary=0.42)
    release.live()
    assert release.simulation.state.outcome == "rolled-back"
    assert release.simulation.when("roll-back") == [("ab-test", at(11, 13, 14))]
    sign_how_it_ended(release.simulation.rollout)
    verdicts = {claim: release.verdicts()[claim].verdict for claim in LIVED}
    assert verdicts == {"canary-7d": "PROVEN", "ab-14d": "REFUTED", "ab-better": "REFUTED"}
    assert replay_ledger(release.store).problem is None
