"""Great Expectations on small tables, good and bad."""

import pandas as pd
import pytest

from expectations.ab_records import COLUMNS
from expectations.runner import check_data
from processes.errors import CollectError, UsageError
from tests.unit.flows.replaying import replays

USERS = 2200


@pytest.fixture
def table():
    values = {
        "user_id": [f"u{i}" for i in range(USERS)],
        "arm": ["control", "treatment"] * (USERS // 2),
        "assigned_at": "2025-10-30T00:00:00Z",
        "slot": [i % 5000 + 5000 * (i % 2) for i in range(USERS)],
        "accurate": 1,
        "satisfaction": 4.5,
        "session_duration_s": 120.0,
        "completed": 0,
        "adopted": 1,
        "returned": 0,
    }
    frame = pd.DataFrame(values)[COLUMNS]
    frame["slot"] = [(i * 4) % 5000 + 5000 * (i % 2) for i in range(USERS)]
    return frame


def check(frame, tmp_path):
    path = tmp_path / "ab_records.csv"
    frame.to_csv(path, index=False)
    return check_data("expectations.ab_records", path, work_dir=tmp_path)


def test_sound_records_pass_every_expectation(table, tmp_path):
    measured = check(table, tmp_path)
    assert measured.outcome == "passed", measured.result.details
    assert measured.result.expectations == measured.result.passed > 20
    assert measured.result.rows == USERS
    assert replays(measured, tmp_path)


@pytest.mark.parametrize(
    ("column", "value"),
    [("satisfaction", 9), ("arm", "canary"), ("slot", 10_000), ("accurate", None), ("user_id", "u1")],
)
def test_one_bad_row_is_found_and_kept(table, tmp_path, column, value):
    table[column] = table[column].astype(object)
    table.loc[500, column] = value
    measured = check(table, tmp_path)
    assert measured.outcome == "failed"
    assert measured.result.unexpected_rows >= 1
    kept = next(a for a in measured.attachments if a.name == "unexpected-rows.csv")
    assert b"500," in kept.content
    assert replays(measured, tmp_path)


def test_a_user_in_the_other_arm_than_the_slot_says_is_found(table, tmp_path):
    table.loc[0, "arm"] = "treatment"
    assert check(table, tmp_path).result.unexpected_rows == 1


def test_a_missing_column_is_no_pass(table, tmp_path):
    measured = check(table.drop(columns="slot"), tmp_path)
    assert measured.outcome == "failed"
    assert measured.result.errored >= 1
    assert replays(measured, tmp_path)
    assert measured.result.passed + measured.result.failed + measured.result.errored == measured.result.expectations


def test_a_table_without_rows_shows_nothing(table, tmp_path):
    measured = check(table.iloc[:0], tmp_path)
    assert measured.outcome == "inconclusive"
    assert replays(measured, tmp_path)


def test_a_file_that_is_no_table_cannot_be_checked(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CollectError, match="cannot be read"):
        check_data("expectations.ab_records", path, work_dir=tmp_path)


def test_a_module_that_is_no_suite_is_a_users_mistake(tmp_path):
    with pytest.raises(UsageError, match="no module with a function suite"):
        check_data("expectations.no_such", tmp_path, work_dir=tmp_path)
