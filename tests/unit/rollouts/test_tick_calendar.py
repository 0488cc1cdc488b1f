"""The whole rollout of 22 days, tick by tick, on a simulated clock."""

from datetime import UTC, datetime, timedelta

from decision.quantities import Margin
from decision.schedule import Schedule
from tests.unit.rollouts.simulated import DEPLOY, STAGES, Simulation, spec_of

WINDOWS = {
    "promote": "Mon-Fri 09:00-16:00 Europe/Berlin",
    "freeze": [{"from": "2025-10-30T00:00:00Z", "until": "2025-11-01T00:00:00Z", "why": "end of the month"}],
    "reviews": ["08:00", "deploy + 2h"],
}


def test_twenty_two_days_pass_with_weekend_freeze_and_the_end_of_summer_time(tmp_path):
    # The clocks of Berlin go back on 2025-10-26. Canary begins on Wednesday 10-22 at 16:00, so its seven days end on
    # Wednesday 10-29 at 15:00 (winter time), but the plan says deploy + 8d; that day is in the freeze, which ends on a
    # Saturday: Monday 11-03 at 09:00 (08:00 UTC) it is. Fourteen days later it is Monday 11-17 at 09:00.
    stages = [STAGES[0], STAGES[1] | {"not_before": "deploy + 8d"}, STAGES[2] | {"not_before": "deploy + 22d"}]
    deploy = DEPLOY - timedelta(hours=2)
    simulation = Simulation(
        tmp_path,
        spec_of(stages, windows=WINDOWS, watch="24h", silence="1h"),
        at=deploy - timedelta(hours=1),
        schedule=Schedule(authorize=deploy, deploy=deploy),
        lease_s=13 * 3600,
    )
    simulation.slo["error-rate"] = simulation.slo["error-rate"].model_copy(
        update={"worse_than_stable_by": Margin(absolute=0.03, relative=None)}  # so that few requests do
    )
    while not simulation.state.ended and simulation.at < deploy + timedelta(days=40):
        hours = 12 if simulation.at.hour == 18 else 2 if simulation.at.hour in (8, 10, 16) else 1
        simulation.pass_time(hours * 3600, requests=hours * 40)
    assert simulation.state.outcome == "completed", simulation.waits
    assert simulation.when("expose") == [
        ("canary", datetime(2025, 10, 22, 12, tzinfo=UTC)),
        ("ab-test", datetime(2025, 11, 3, 8, tzinfo=UTC)),
        ("full", datetime(2025, 11, 17, 8, tzinfo=UTC)),
    ]
    reviews = [at for _, at in simulation.when("review")]
    assert reviews[:2] == [datetime(2025, 10, 22, 14, tzinfo=UTC), datetime(2025, 10, 23, 6, tzinfo=UTC)]
    assert datetime(2025, 10, 27, 7, tzinfo=UTC) in reviews  # eight o'clock in winter
    assert len(reviews) == len(set(reviews)) == 28
    ((_, watched_at),), ((_, completed_at),) = simulation.when("watch"), simulation.when("complete")
    assert completed_at - watched_at >= timedelta(hours=24)
    assert simulation.router.slots == 10_000
