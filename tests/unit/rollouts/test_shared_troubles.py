"""What stable shares is not the candidate's fault, and what only looks well is not well: through ticks."""

from dataclasses import replace

import pytest

from rollouts.lived import rollout_of
from rollouts.orders import resume
from rollouts.production import measurement_of
from rollouts.rules import Rules, decide_stage, read_rules, rules_entry
from rollouts.stage import Seen
from tests.unit.rollouts.requests import SLO, routed
from tests.unit.rollouts.simulated import SimulatedRouter, Simulation, spec_of
from tests.unit.rollouts.test_tick import SHORT, through


class OddRouter(SimulatedRouter):
    """Its canary answers with one status from some share on, or cannot be reached."""

    status: int = 200
    from_slots: int = 0
    dead: bool = False

    def serve(self, count, over_s):
        before = len(self.log)
        super().serve(count, over_s)
        for n, request in enumerate(self.log[before:], before):
            if request.backend == "canary" and self.dead:
                self.log[n] = replace(request, backend="stable")
            elif request.backend == "canary" and self.slots >= self.from_slots and request.status == 200:
                self.log[n] = replace(request, status=self.status)


@pytest.fixture
def simulation(tmp_path):
    simulation = Simulation(tmp_path, spec_of(SHORT, watch="5m"))
    simulation.router = OddRouter(lambda: simulation.at)
    return simulation


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_an_outage_of_both_versions_freezes_and_does_not_roll_back(simulation, rate):
    through(simulation, until=lambda state: state.stage == 0)
    simulation.pass_time(60, requests=3000, ticks=10)
    simulation.router.canary_errors = simulation.router.stable_errors = rate
    simulation.pass_time(60, requests=3000, ticks=10)
    simulation.router.canary_errors = simulation.router.stable_errors = 0.0
    simulation.pass_time(300, requests=15_000, ticks=50)  # what lasts longest in the canary's windows
    assert (simulation.state.hold, simulation.state.outcome) == ("frozen", "")
    resume(simulation.rollout, "the database is well again")
    through(simulation, until=lambda state: state.stage == 1)


def test_a_baseline_that_stays_sick_keeps_the_rollout_frozen_and_a_canary_that_is_worse_goes_back(simulation):
    through(simulation, until=lambda state: state.stage == 0)
    simulation.router.canary_errors = simulation.router.stable_errors = 0.02
    simulation.pass_time(1200, requests=60_000, ticks=100)
    assert (simulation.state.hold, simulation.state.outcome) == ("frozen", "")
    simulation.router.canary_errors = 0.3
    through(simulation, until=lambda state: state.outcome == "rolled-back", minutes=3)
    attachments = {a.name: a.content for a in measurement_of(simulation.rollout, "r", {}).attachments}
    assert rollout_of(attachments, "embedded").outcome == "rolled-back"


@pytest.mark.parametrize("status", [404, 429])
def test_a_canary_that_refuses_everybody_goes_back(simulation, status):
    simulation.router.status = status
    through(simulation, until=lambda state: state.outcome == "rolled-back", minutes=5)
    assert "rejection-rate" in simulation.state.why


@pytest.mark.parametrize("status", [404, 429])
def test_a_candidate_that_refuses_everybody_at_100_percent_is_frozen(simulation, status):
    simulation.router.status, simulation.router.from_slots = status, 10_000
    through(simulation, until=lambda state: state.hold == "frozen")
    assert simulation.state.stage == 2
    assert "harm shown: rejection-rate 1" in simulation.state.why


def test_a_candidate_that_cannot_be_reached_is_not_promoted_for_its_past_and_people_are_called(tmp_path):
    simulation = Simulation(tmp_path, spec_of([SHORT[0] | {"minimum": "8m"}, *SHORT[1:]]))
    simulation.router = OddRouter(lambda: simulation.at)
    through(simulation, until=lambda state: state.stage == 0)
    for _ in range(6):
        simulation.pass_time(60, requests=3000)
    simulation.router.dead = True
    for _ in range(4):
        simulation.pass_time(60, requests=3000)
    assert simulation.waits.why.startswith("the candidate cannot be reached")
    assert simulation.state.stage == 0
    through(simulation, until=lambda state: state.hold == "frozen", minutes=3)
    assert "the candidate cannot be reached" in simulation.state.why


def test_evidence_of_an_older_edition_is_judged_by_its_own_rules():
    requests = routed(3000, share=0.5, canary_errors=0.3, stable_errors=0.3, seed=1)
    seen = Seen(requests, (), 0, 60.0, 0.0, True)
    rules = Rules(SLO, 10.0, 0.001, 10.0)
    stage = spec_of(SHORT).stages[1]
    assert decide_stage(seen, stage, rules).action == "freeze"
    kept = rules_entry(rules)
    assert read_rules(kept) == rules
    del kept["edition"], kept["rejections_alone"]
    assert decide_stage(seen, stage, read_rules(kept)).action == "roll-back"
