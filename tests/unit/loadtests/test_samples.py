"""Samples as they are read again, also where a crash or a disk damaged some."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.samples import append_sample, parse_samples, readings_of
from loadtests.soak_journal import parse_journal
from processes.errors import CollectError
from tests.unit.loadtests.test_soak_status import reading


def line(at_s, **of):
    return json.dumps(asdict(reading(at_s, **of))).encode() + b"\n"


def test_a_sample_is_read_as_it_was_written(tmp_path):
    append_sample(tmp_path / "samples", reading(7.0))
    assert parse_samples((tmp_path / "samples").read_bytes(), "samples") == [reading(7.0)]


@pytest.mark.parametrize(
    "damage",
    [
        b"\0\0\0\n",
        b"{}\n",
        b"7\n",
        b"\xff\xfe\n",
        line(2.0)[:40] + b"\n",
        line(2.0).replace(b"2.0", b"NaN"),
        line(2.0).replace(b"100000000", b'"much"'),
        line(2.0).replace(b"rss_bytes", b"bytes"),
    ],
)
def test_a_damaged_sample_is_a_missing_one(damage):
    samples = parse_samples(line(1.0) + damage + line(3.0), "samples")
    assert [sample.at_s for sample in samples] == [1.0, 1.0, 3.0]
    assert [at_s for at_s, _ in readings_of(samples, "target")] == [1.0, 3.0]


@given(st.binary(max_size=60))
def test_whatever_stands_between_two_samples_harms_neither(damage):
    samples = parse_samples(line(1.0) + damage + b"\n" + line(3.0), "samples")
    assert (samples[0], samples[-1]) == (reading(1.0), reading(3.0))
    assert len(samples) >= 3


def test_a_file_without_any_sample_is_an_error():
    with pytest.raises(CollectError, match="none of its 2 lines is a sample"):
        parse_samples(b"a\nb\n", "samples")
    assert parse_samples(b"", "samples") == []


def test_a_damaged_journal_is_never_judged_and_says_what_can_be_done():
    with pytest.raises(CollectError, match=r"journal:1: a damaged entry .*move the folder away"):
        parse_journal(b"\0\0\n", "journal")
