"""When shares may grow, to the minute, over weekends, freezes and changes of clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from decision.objectives import Stage
from decision.rollout_spec import Windows
from decision.schedule import Schedule
from rollouts.calendar import earliest_promotion, may_promote, reviews_between

BERLIN = Windows.model_validate(
    {
        "promote": "Mon-Fri 09:00-16:00 Europe/Berlin",
        "freeze": [{"from": "2025-12-20T00:00Z", "until": "2026-01-07T00:00Z", "why": "holidays"}],
        "reviews": ["08:00", "deploy + 2h"],
    }
)
SCHEDULE = Schedule(authorize=datetime(2025, 10, 22, 12, tzinfo=UTC), deploy=datetime(2025, 10, 22, 14, tzinfo=UTC))
TIMES = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "next_at"),
    [
        ("2025-10-24T08:00", "2025-10-24T08:00"),  # Friday 10:00 in summer
        ("2025-10-24T13:59", "2025-10-24T13:59"),
        ("2025-10-24T14:00", "2025-10-27T08:00"),  # closed; Monday 09:00 in winter
        ("2025-10-26T00:30", "2025-10-27T08:00"),  # the hour that comes twice
        ("2026-03-27T15:00", "2026-03-30T07:00"),  # Friday in winter, Monday in summer
        ("2025-10-24T06:59", "2025-10-24T07:00"),
        ("2025-12-22T10:00", "2026-01-07T08:00"),  # the freeze ends on a Wednesday at 01:00
        ("2025-12-19T15:30", "2026-01-07T08:00"),  # Friday evening, then the freeze
    ],
)
def test_the_next_time_for_a_promotion_follows_the_wall_clock(now: str, next_at: str) -> None:
    found = may_promote(utc(now), BERLIN)
    assert found.next_at == utc(next_at)
    assert found.now == (now == next_at)
    assert found.now == (not found.why)


def test_the_reason_is_the_first_thing_that_stands_against_it() -> None:
    assert may_promote(utc("2025-12-22T10:00"), BERLIN).why == "frozen until 2026-01-07 00:00 UTC: holidays"
    assert "outside working hours (09:00 to 16:00 Europe/Berlin)" in may_promote(utc("2025-10-25T10:00"), BERLIN).why
    later = may_promote(utc("2025-10-22T14:00"), BERLIN, earliest=utc("2025-10-30T14:00"), because="stage x")
    assert (later.why, later.next_at) == ("stage x: not before 2025-10-30 14:00 UTC", utc("2025-10-30T14:00"))


def test_a_calendar_that_never_opens_says_so() -> None:
    always = {"from": "2025-01-01T00:00Z", "until": "2999-01-01T00:00Z", "why": "never"}
    found = may_promote(utc("2025-12-22T10:00"), Windows.model_validate({"freeze": [always]}))
    assert not found.now
    assert found.next_at == utc("2999-01-01T00:00")


@given(TIMES)
def test_what_is_promised_holds_and_nothing_earlier_would_do(now: datetime) -> None:
    found = may_promote(now, BERLIN)
    assert found.next_at is not None
    assert found.next_at >= now
    assert may_promote(found.next_at, BERLIN).now
    if not found.now:
        assert not may_promote(found.next_at - timedelta(microseconds=1), BERLIN).now
    local = found.next_at.astimezone(ZoneInfo("Europe/Berlin"))
    assert local.weekday() < 5
    assert 9 <= local.hour < 16


def test_a_stage_begins_after_its_date_and_the_minimum_time_of_the_one_before() -> None:
    canary = Stage.model_validate({"name": "canary", "share": "5%", "minimum": "7d"})
    dated = Stage.model_validate({"name": "ab-test", "share": "50%", "not_before": "deploy + 8d"})
    assert earliest_promotion(canary, SCHEDULE, current=None, began_at=None)[0] == SCHEDULE.deploy
    began_at = SCHEDULE.deploy + timedelta(hours=1)
    assert earliest_promotion(dated, SCHEDULE, current=canary, began_at=began_at)[0] == utc("2025-10-30T14:00")
    late = SCHEDULE.deploy + timedelta(days=3)
    earliest, why = earliest_promotion(dated, SCHEDULE, current=canary, began_at=late)
    assert (earliest, why) == (late + timedelta(days=7), "the minimum time of stage canary")


def test_reviews_come_every_day_at_the_wall_clocks_hour_and_once_where_dated() -> None:
    due = list(reviews_between(utc("2025-10-22T14:00"), utc("2025-10-27T12:00"), BERLIN, SCHEDULE))
    assert due == [
        utc("2025-10-22T16:00"),
        utc("2025-10-23T06:00"),
        utc("2025-10-24T06:00"),
        utc("2025-10-25T06:00"),
        utc("2025-10-26T07:00"),
        utc("2025-10-27T07:00"),
    ]


@given(TIMES, st.timedeltas(timedelta(0), timedelta(days=13)), st.floats(0, 1))
def test_no_review_is_missed_or_told_twice_however_ticks_fall(begin: datetime, span: timedelta, part: float) -> None:
    middle, end = begin + span * part, begin + span
    whole = list(reviews_between(begin, end, BERLIN, SCHEDULE))
    parts = [*reviews_between(begin, middle, BERLIN, SCHEDULE), *reviews_between(middle, end, BERLIN, SCHEDULE)]
    assert whole == parts


@pytest.mark.parametrize(
    "windows",
    [
        {"promote": "weekdays"},
        {"promote": "Fri-Mon 09:00-16:00"},
        {"promote": "Mon-Fri 16:00-09:00"},
        {"promote": "Mon-Fri 09:00-25:00"},
        {"promote": "Mon-Fri 09:00-16:00 Europe/Atlantis"},
        {"promote": "Mon-Fri 09:00-16:00 ../../etc/passwd"},
        {"freeze": [{"from": "2026-01-07T00:00Z", "until": "2026-01-07T00:00Z", "why": "x"}]},
        {"freeze": [{"from": "2026-01-07T00:00", "until": "2026-01-08T00:00", "why": "x"}]},
    ],
)
def test_a_calendar_that_means_nothing_is_refused(windows: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Windows.model_validate(windows)
