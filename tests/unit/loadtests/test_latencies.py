"""Sums of histograms give what HdrHistogram itself gives, to the last bit."""

import base64

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.latencies import Latencies
from processes.errors import CollectError

PERCENTILES = (0.1, 50, 95, 99, 99.9, 100)


def histogram(values, *, highest=120_000_000):
    made = HdrHistogram(1, highest, 3)
    for value in values:
        made.record_value(value)
    return made


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 120_000_000), max_size=30), min_size=1, max_size=5))
def test_a_sum_has_the_figures_of_hdrhistogram(groups):
    summed, reference = Latencies(), histogram([])
    for group in groups:
        text = histogram(group).encode()
        summed.add(text.decode())
        reference.add(HdrHistogram.decode(text))
    assert summed.count == reference.get_total_count() == sum(map(len, groups))
    if summed.count:
        assert summed.values_at(*PERCENTILES) == [reference.get_value_at_percentile(p) for p in PERCENTILES]
        assert summed.mean_us() == reference.get_mean_value()
        assert summed.max_us() == reference.get_max_value()


def test_sums_of_sums_are_sums():
    one, other, whole = Latencies(), Latencies(), Latencies()
    one.add(histogram([1, 5000]).encode().decode())
    other.add(histogram([90_000_000]).encode().decode())
    one.merge(other)
    one.merge(Latencies())
    whole.add(histogram([1, 5000, 90_000_000]).encode().decode())
    assert (one.count, one.mean_us(), one.values_at(50, 99)) == (3, whole.mean_us(), whole.values_at(50, 99))


@pytest.mark.parametrize("text", ["", "AAAA", "no base64!", base64.b64encode(b"HISTFAAA" * 4).decode(),
                                  histogram([7]).encode().decode()[:-8]])  # fmt: skip
def test_a_damaged_histogram_is_an_error(text):
    with pytest.raises(CollectError, match="not a histogram"):
        Latencies().add(text)


def test_histograms_of_another_resolution_are_not_added():
    summed = Latencies()
    summed.add(histogram([7]).encode().decode())
    with pytest.raises(CollectError, match="not of one load"):
        summed.add(histogram([7], highest=60_000_000).encode().decode())
    assert summed.count == 1
