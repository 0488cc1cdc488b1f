import csv
from pathlib import Path

from engines.synthetic import ab_records, conversations, interactions, write

DATA = Path(__file__).resolve().parents[2] / "releases" / "ion-phase4" / "data"


def test_the_same_seed_gives_the_bytes_that_the_release_holds(tmp_path):
    write(2025, tmp_path)
    for name in ("interactions", "conversations", "ab_records"):
        assert (tmp_path / f"{name}.csv").read_bytes() == (DATA / f"{name}.csv").read_bytes()


def test_another_seed_gives_other_rows():
    for rows in (interactions, conversations, ab_records):
        assert list(rows(1))[1:20] != list(rows(2))[1:20]


def test_every_user_of_the_ab_test_is_in_one_arm_and_the_split_is_even():
    with (DATA / "ab_records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["user_id"] for row in rows}) == len(rows)
    treated = sum(row["arm"] == "treatment" for row in rows)
    assert abs(treated - len(rows) / 2) < 4 * (len(rows) / 4) ** 0.5
