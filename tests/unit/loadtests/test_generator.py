import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.generator import HANGS_AFTER_S, life_watch
from loadtests.merge_windows import merge_entries
from loadtests.schedule import constant
from loadtests.settings import Settings, reachable, read_settings, settings_text
from loadtests.window_log import NAMES_AT_MOST, OTHER, WindowLog

OF_PROCESS = {"offered": 3, "generator_cpu": 0.2, "generator_rss_bytes": 100, "clock_offset_s": -0.5}


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_a_generator_that_is_silent_for_long_is_noticed(tmp_path, clock):
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    alive = life_watch(heartbeat, clock)
    for second in range(40):
        clock.now_s += 1
        if second < 20:
            os.utime(heartbeat, ns=(second, second))
        assert alive() == (second < 20 + HANGS_AFTER_S - 1)


def test_a_watcher_that_was_itself_stopped_has_seen_nothing(tmp_path, clock):
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    alive = life_watch(heartbeat, clock)
    assert alive()
    clock.now_s += 3600
    assert alive()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.001, 5)), max_size=20), min_size=1, max_size=4))
def test_merged_windows_are_as_one_that_has_seen_all(groups):
    whole = WindowLog(0.0, set())
    parts = []
    for group in groups:
        part = WindowLog(0.0, set())
        for name, latency_s in group:
            for log in (part, whole):
                log.good(name, latency_s, 200)
                log.bad(name, latency_s, "status 500")
        parts.append(part.entry(4, 10.0, 10.0) | OF_PROCESS)
    merged, expected = merge_entries(parts), whole.entry(4, 10.0, 10.0)
    for name in ("completed", "errors", "error_classes", "histograms", "sequence", "from_s", "to_s", "due_until_s"):
        assert merged[name] == expected[name]
    assert merged["offered"] == 3 * len(groups)
    assert merged["generator_cpu"] == 0.2
    assert merged["generator_rss_bytes"] == 100 * len(groups)
    assert merged["clock_offset_s"] == -0.5


def test_names_and_error_classes_are_bounded():
    names = set()
    log = WindowLog(0.0, names)
    for number in range(1000):
        log.bad(f"/item/{number}", 0.01, f"no {number}")
    entry = log.entry(0, 1.0, 1.0)
    assert len(entry["histograms"]) == NAMES_AT_MOST + 1
    assert OTHER in entry["histograms"]
    assert len(entry["error_classes"]) == 20
    assert entry["errors"] == entry["completed"] == 1000
    later = WindowLog(1.0, names)
    later.good("/new", 0.01, 200)
    assert list(later.entry(1, 2.0, 2.0)["histograms"]) == [OTHER]


def test_settings_survive_the_way_to_another_process():
    settings = Settings("http://a", "/l.py", None, constant(3.3, 1 / 3), 1, 1.0, "/w", "/h", 2, 3, "0.0.0.0:5557")
    assert read_settings(settings_text(settings)) == settings


@pytest.mark.parametrize(
    ("url", "master", "reached"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/a", "10.0.0.5", "http://10.0.0.5:8000/a"),
        ("https://shop.example", "10.0.0.5", "https://shop.example"),
    ],
)
def test_a_target_on_the_loopback_is_asked_at_the_masters_address(url, master, reached):
    assert reachable(url, master) == reached
