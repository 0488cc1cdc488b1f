import json

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.load import Limits, load_outcome
from loadtests.windows import COUNTS, Window, read_windows, sum_windows
from processes.errors import CollectError


def window(start=0.0, *, latencies_us=(1000,), offered=None, **counts):
    histogram = HdrHistogram(1, 120_000_000, 3)
    for value in latencies_us:
        histogram.record_value(value)
    n = len(latencies_us)
    values = {"offered": n if offered is None else offered, "started": n, "late": 0, "finished": n, "completed": n}
    values |= {"errors": 0, "rate_limited": 0, "expected_4xx": 0, "workers": 1, "due_until_s": start + 10} | counts
    return Window(
        0,
        start,
        start + 10,
        **values,
        error_classes={},
        generator_cpu=0.1,
        generator_rss_bytes=60_000_000,
        clock_offset_s=0.0,
        histograms={"a": histogram.encode().decode()} if n else {},
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(1, 10_000_000), min_size=1, max_size=40), min_size=1, max_size=6))
def test_percentiles_of_windows_are_those_of_all_their_values(groups):
    totals = sum_windows([window(latencies_us=group) for group in groups])
    whole = sum_windows([window(latencies_us=[value for group in groups for value in group])])
    assert totals.latency == whole.latency
    assert totals.latency.count == sum(len(group) for group in groups)


def test_no_windows_give_no_figures():
    totals = sum_windows([])
    assert totals.error_rate is None
    assert totals.held_rate is None
    assert totals.latency.p95_ms is None


def test_a_request_that_was_late_by_the_generators_fault_lowers_the_held_rate():
    assert sum_windows([window(latencies_us=[1] * 10, late=2)]).held_rate == pytest.approx(0.8)


def test_an_unfinished_last_line_does_not_count(tmp_path):
    entry = {
        "sequence": 0,
        "started_at": 0,
        "finished_at": 1,
        "error_classes": {},
        "generator_cpu": 0,
        "generator_rss_bytes": 1,
        "clock_offset_s": 0,
        "workers": 1,
        "due_until_s": 1,
        "histograms": {},
    }
    entry |= dict.fromkeys(COUNTS, 1)
    path = tmp_path / "w.jsonl"
    path.write_text(json.dumps(entry) + "\n" + json.dumps(entry)[:20])
    assert len(read_windows(path)) == 1


def test_a_damaged_line_is_an_error(tmp_path):
    path = tmp_path / "w.jsonl"
    path.write_text("{}\n")
    with pytest.raises(CollectError, match="not a window"):
        read_windows(path)


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ((0, None, None, None), "inconclusive"),
        ((10, 0.5, 0.0, 1.0), "inconclusive"),
        ((10, 1.0, 0.0, None), "inconclusive"),
        ((10, 1.0, 0.0, 1.0), "passed"),
    ],
)
def test_a_load_passes_only_with_every_figure(values, outcome):
    assert load_outcome(*values, Limits(None, None), rate_limited=0, error_classes={})[0] == outcome


@pytest.mark.parametrize(
    ("errors", "limited", "outcome", "why"),
    [
        (0, 0, "passed", ""),
        (40, 10, "passed", ""),
        (0, 50, "passed", ""),
        (0, 100, "inconclusive", "the target refused 100.0% of the load with 429"),
        (0, 51, "inconclusive", "the target refused 51.0% of the load with 429"),
        (20, 40, "inconclusive", "the target refused 40.0% of the load with 429"),
        (100, 0, "failed", "only 0.0% of the requests were served, 100.0% were errors"),
        (41, 20, "failed", "only 39.0% of the requests were served, 41.0% were errors"),
    ],
)
def test_a_load_of_which_less_than_half_was_served_never_passes_whatever_the_limits(errors, limited, outcome, why):
    seen = load_outcome(100, 1.0, errors / 100, 1.0, Limits(None, None), rate_limited=limited, error_classes={})
    assert seen == (outcome, why)


def test_a_load_whose_tasks_all_broke_before_any_request_names_the_error():
    classes = {"task other: KeyError: 'a'": 2, "task one: ValueError: no": 49}
    outcome, why = load_outcome(51, 1.0, 1.0, None, Limits(0.01, None), rate_limited=0, error_classes=classes)
    assert outcome == "inconclusive"
    assert why == "no request was made: task one: ValueError: no (49 times)"


@pytest.mark.parametrize(
    ("counts", "under_load"),
    [
        ({}, True),
        ({"errors": 5}, True),
        ({"errors": 6}, False),
        ({"errors": 10}, False),
        ({"rate_limited": 10}, False),
        ({"rate_limited": 3, "errors": 3}, False),
        ({"expected_4xx": 10}, True),
        ({"offered": 12}, False),
    ],
)
def test_a_window_of_which_less_than_half_was_served_is_no_time_under_load(counts, under_load):
    assert window(latencies_us=(1000,) * 10, **counts).under_load == under_load
