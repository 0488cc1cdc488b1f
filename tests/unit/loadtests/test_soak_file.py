import gzip

import numpy as np
import pytest

from loadtests.soak_file import read_soak_file
from processes.errors import InputError


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "soak.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "times",
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z"),
        ("2026-01-01 00:00:00", "2026-01-01 00:30:00"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:30:00Z"),
        ("1767225600", "1767227400"),
        ("1767225600000", "1767227400000"),
    ],
)
def test_times_are_iso_or_epoch_seconds_or_milliseconds(file, times):
    read = read_soak_file(file(f"t,rss\n{times[0]},1\n{times[1]},2.5\n"), "t", "rss")
    assert read.hours == pytest.approx([0, 0.5])
    assert read.values == [1, 2.5]
    assert read.began_s == 1767225600


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_separate_too(file, separator):
    text = f"t{separator}rss\n1767225600{separator}1\n"
    assert read_soak_file(file("\ufeff" + text), "t", "rss").values == [1]


def test_rows_that_cannot_be_read_are_counted(file):
    read = read_soak_file(file("t,rss\n1767225600,1\n1767225601,\n1767225602,n/a\nnoon,4\n1767225604,5\n"), "t", "rss")
    assert read.values == pytest.approx([1, np.nan, np.nan, np.nan, 5], nan_ok=True)
    assert read.hours[3:] == pytest.approx([np.nan, 4 / 3600], nan_ok=True)
    assert read.left_out == [
        "1 of 5 rows left out: no time in column 't'",
        "2 of 5 rows left out: no number in column 'rss'",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("t,rss\n", "the file has no rows"),
        ("time,heap\n1,2\n", "no column 't'; there are 'time', 'heap'"),
        ("t,rss\n1767225600,much\n", "no row has a number in column 'rss'"),
        ("t,rss\n0,1\n30,1\n", "neither epoch seconds nor epoch milliseconds"),
        ("t,rss\nsoon,1\n", "no ISO 8601 time"),
        ("t,rss,rss\n1767225600,1,2\n", "2 columns are called 'rss'"),
        ("t,rss, rss\n1767225600,1,2\n", "2 columns are called 'rss'"),
        ("t,rss\n1767225600,1,2\n", "a row has 3 fields, the header 2"),
        ("t;rss\n1767225600;1,5\n", "numbers with a comma, as in '1,5': write points"),
        ("t,rss\n\0\0\0", "not a text: it has NUL characters"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_line(file, text, told):
    with pytest.raises(InputError, match=told) as raised:
        read_soak_file(file(text), "t", "rss")
    assert "\n" not in str(raised.value)


def test_a_time_of_another_age_is_none(file):
    read = read_soak_file(file("t,rss\n2026-01-01T00:00:00,1\n9999-01-01T00:00:00,1\n"), "t", "rss")
    assert read.left_out == ["1 of 2 rows left out: no time in column 't'"]


def test_a_row_that_was_cut_off_has_no_number(file):
    assert read_soak_file(file("t,rss,files\n1767225600,500,7\n1767225601,50"), "t", "rss").values == pytest.approx(
        [500, np.nan], nan_ok=True
    )


def test_a_file_compressed_with_gzip_is_read_and_a_damaged_one_told(tmp_path):
    path = tmp_path / "soak.csv.gz"
    content = gzip.compress(b"t,rss\n1767225600,1\n")
    path.write_bytes(content)
    assert read_soak_file(path, "t", "rss").values == [1]
    for damaged, told in ((content[:-3], "damaged"), (b"\xfd7zXZ\xff", "compressed with gzip")):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=told):
            read_soak_file(path, "t", "rss")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_soak_file(tmp_path / "no.csv", "t", "rss")
