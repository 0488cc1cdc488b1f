"""Drills whose requests prove nothing do not pass, whatever the times say."""

import json
from collections.abc import Mapping, Sequence

import pytest

from evidence.results import DrillResult
from rollouts.drill import drill_of
from rollouts.kept_requests import keep_requests
from rollouts.router_drills import lease_lapse_of
from rollouts.samples import Arm, RequestSample


def requests(at_s: float, count: int, assigned: Arm = "stable", backend: Arm | None = None) -> list[RequestSample]:
    return [
        RequestSample(at_s + n / 1000, backend or assigned, 200, 1.0, f"{assigned}-{n}", assigned) for n in range(count)
    ]


DIVERTED = requests(111.5, 60, "canary", "stable")
GOOD = {
    "exposed": requests(90, 50, "canary"),
    "rollback": requests(100.1, 60),
    "afterwards": requests(101, 200),
    "again": requests(105, 50, "canary"),
    "unwatched": requests(110.5, 20, "canary") + DIVERTED,
}


def rehearsed(**changes: Sequence[RequestSample]) -> DrillResult:
    times = {"decided_at_s": 100.0, "confirmed_at_s": 100.01, "settled": True, "renewed_at_s": 110.0}
    phases: Mapping[str, Sequence[RequestSample]] = GOOD | changes
    return drill_of({"requests.parquet": keep_requests(phases), "times.json": json.dumps(times).encode()})


def lapsed(unwatched: Sequence[RequestSample]) -> DrillResult:
    phases = {"exposed": requests(90, 100, "canary"), "unwatched": unwatched}
    times = json.dumps({"killed_at_s": 110.0}).encode()
    return lease_lapse_of({"requests.parquet": keep_requests(phases), "times.json": times})


def test_a_rehearsal_with_users_who_were_taken_back_passes() -> None:
    assert rehearsed().failed == 0


@pytest.mark.parametrize(("changes", "fails"), [
    ({"exposed": requests(90, 100)}, 0),  # nobody was there to be taken back
    ({"exposed": []}, 0),
    ({"afterwards": requests(101, 10)}, 0),  # nobody came to show it
    ({"again": requests(105, 100)}, 2),  # no lease had anything to do
    ({"unwatched": requests(111, 300)}, 2),  # all on stable by a share of 0, as after a restart of the router
    ({"unwatched": DIVERTED[:1]}, 2),
])  # fmt: skip
def test_a_rehearsal_that_proves_nothing_fails(changes: dict[str, list[RequestSample]], fails: int) -> None:
    assert [step.passed for step in rehearsed(**changes).steps].index(False) == fails


def test_a_lease_has_lapsed_only_when_stable_answers_users_of_the_canary() -> None:
    assert lapsed(DIVERTED).failed == 0
    assert lapsed(requests(111, 300)).failed == 1
