from datetime import UTC, datetime

import pytest

from decision.schedule import Schedule, Step, time_of
from reports.sections.schedule import phases

SCHEDULE = Schedule(
    authorize=datetime(2025, 10, 19, 16, tzinfo=UTC),
    deploy=datetime(2025, 10, 22, 14, tzinfo=UTC),
    steps=(
        Step(at="deploy + 7d", does="A/B test"),
        Step(at="deploy", does="Canary"),
        Step(at="deploy + 30m", does="Monitoring"),
        Step(at="2025-10-20T08:00Z", until="2025-10-21T18:00Z", does="Training"),
        Step(at="soon", does="Party"),
    ),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("deploy", datetime(2025, 10, 22, 14, tzinfo=UTC)),
        ("deploy + 30m", datetime(2025, 10, 22, 14, 30, tzinfo=UTC)),
        ("deploy+1d2h", datetime(2025, 10, 23, 16, tzinfo=UTC)),
        ("authorize - 1h", datetime(2025, 10, 19, 15, tzinfo=UTC)),
        ("2025-10-20T08:00Z", datetime(2025, 10, 20, 8, tzinfo=UTC)),
        ("2025-10-20 08:00", datetime(2025, 10, 20, 8, tzinfo=UTC)),
        ("deploy + soon", None),
        ("deploy + 99999999999d", None),
        ("tomorrow", None),
    ],
)
def test_times_are_computed_from_the_deployment(text: str, expected: datetime | None) -> None:
    assert time_of(text, SCHEDULE) == expected


def test_steps_are_ordered_and_grouped_around_the_day_of_the_deployment() -> None:
    found = phases(SCHEDULE, datetime(2025, 10, 20, 12, tzinfo=UTC))
    assert [(p.phase, p.when, [s.does for s in p.steps]) for p in found] == [
        ("PRE-DEPLOYMENT", "2025-10-20 to 2025-10-21", ["Training"]),
        ("DEPLOYMENT DAY", "2025-10-22", ["Canary", "Monitoring"]),
        ("POST-DEPLOYMENT", "2025-10-29", ["A/B test"]),
        ("UNDATED", "no time that can be read", ["Party"]),
    ]


@pytest.mark.parametrize(
    ("now", "past", "said"),
    [
        (datetime(2025, 10, 20, 7, tzinfo=UTC), False, "in 1h"),
        (datetime(2025, 10, 20, 12, tzinfo=UTC), False, "under way"),
        (datetime(2025, 10, 22, 8, tzinfo=UTC), True, "14h ago"),
    ],
)
def test_a_step_is_ahead_under_way_or_past(now: datetime, past: bool, said: str) -> None:
    training = phases(SCHEDULE, now)[0].steps[0]
    assert (training.past, training.distance) == (past, said)
