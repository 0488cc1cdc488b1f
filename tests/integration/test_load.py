"""Locust against a real server that stalls, fails and limits."""

import sys
import time
from contextlib import ExitStack

import pytest

from loadtests.load import run_load
from loadtests.schedule import constant
from loadtests.soak import run_soak
from loadtests.traffic import traffic
from processes.errors import CollectError
from processes.ports import free_port
from processes.supervised import supervised, wait_until_ready
from processes.target import Target
from tests.integration.loaded_server import Handler, loaded_server
from tests.unit.flows.replaying import replays

LOCUSTFILE = """
from loadtests.arrivals import ArrivalUser
from loadtests.journey import Call

def plain(random):
    yield Call("GET", "/plain", "plain", "u")

def mixed(random):
    yield Call("GET", "/plain", "plain", "u")
    yield Call("GET", "/fail", "fail", "u")
    yield Call("GET", "/limit", "limit", "u")
    yield Call("GET", "/missing", "missing", "u", expect=(404,))

class Some(ArrivalUser):
    journeys = {"plain": plain, "mixed": mixed}
"""


@pytest.fixture
def target():
    with loaded_server() as server:
        yield server


@pytest.fixture
def locustfile(tmp_path):
    path = tmp_path / "some.py"
    path.write_text(LOCUSTFILE)
    return path


def load(target, locustfile, journey="plain", **options):
    settings = {"shape": constant(50, 6), "seed": 1, "slo": {}, "progress": lambda *_: None} | options
    return run_load(target, locustfile=locustfile, journey=journey, work_dir=locustfile.parent, **settings)


def test_a_load_offers_the_stated_rate_and_counts_every_request(target, locustfile):
    result = load(target, locustfile).result
    assert result.offered == result.started == result.completed == result.latency.count
    assert result.offered == pytest.approx(300, abs=60)  # Poisson: sd 17
    assert result.errors == 0


def test_each_outcome_of_a_request_is_counted_apart(target, locustfile):
    measured = load(target, locustfile, "mixed")
    assert replays(measured, locustfile.parent)
    result = measured.result
    each = result.completed / 4
    assert result.errors == pytest.approx(each, rel=0.1)
    assert result.rate_limited == pytest.approx(each, rel=0.1)
    assert result.expected_4xx == pytest.approx(each, rel=0.1)
    assert set(result.by_endpoint) == {"plain", "fail", "limit", "missing"}


def test_a_stall_shows_in_the_latency_of_the_requests_that_should_have_begun_meanwhile(target, locustfile):
    def stall_once(_done, _text):
        if not Handler.stalled_until_s:
            Handler.stalled_until_s = time.monotonic() + 2

    result = load(target, locustfile, progress=stall_once).result
    assert result.latency.max_ms > 1500
    # Two of six seconds: a third of all requests should have begun during the stall.
    assert result.p95_ms > 1000


def test_a_journey_that_does_not_exist_is_an_error(target, locustfile):
    with pytest.raises(CollectError):
        load(target, locustfile, "no such journey")


def test_traffic_stops_with_its_block(target, locustfile):
    options = {"locustfile": locustfile, "journey": "plain", "rate_per_s": 20, "seed": 1, "work_dir": locustfile.parent}
    with traffic(target.url, **options, longest_s=60) as running:
        assert running.alive()
    assert not running.alive()


@pytest.fixture
def soaked(tmp_path):
    """A target and a control that are processes of their own, as memory is sampled by pid."""
    with ExitStack() as stack:
        pair = []
        for name in ("candidate", "stable"):
            port = free_port()
            argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
            process = stack.enter_context(supervised(name, argv, log=tmp_path / f"{name}-server.log"))
            wait_until_ready(process, f"http://127.0.0.1:{port}/", timeout_s=30)
            pair.append((process, Target(name, f"http://127.0.0.1:{port}", pid=process.pid)))
        yield pair


def soak(soaked, locustfile, seconds, progress=lambda *_: None):
    (locustfile.parent / "plain").touch()
    (_, target), (_, control) = soaked
    return run_soak(
        target,
        control=control,
        locustfile=locustfile,
        journey="plain",
        rate_per_s=20,
        target_hours=seconds / 3600,
        segment_s=4,
        memory_limit_bytes=512e6,
        limit_per_day=0.05,
        seed=1,
        slo={},
        work_dir=locustfile.parent,
        progress=progress,
    )


def test_a_soak_counts_time_under_load_and_its_gaps_between_segments(soaked, locustfile):
    measured = soak(soaked, locustfile, 8)
    result = measured.result
    assert measured.outcome == "passed"
    assert replays(measured, locustfile.parent)
    assert result.segments == 2
    assert result.hours_under_load * 3600 == pytest.approx(8, abs=1.5)
    assert result.coverage < 1
    assert {gap.cause for gap in result.gaps} >= {"no load generator was running"}
    assert result.verdict == "not-proven"
    assert result.rss_first_mb > 1
    assert result.series


def test_an_interrupted_soak_goes_on_where_it_was(soaked, locustfile):
    def interrupt(done, _text):
        if done > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        soak(soaked, locustfile, 8, interrupt)
    measured = soak(soaked, locustfile, 8)
    assert replays(measured, locustfile.parent)
    result = measured.result
    assert result.segments >= 2
    assert result.hours_under_load * 3600 == pytest.approx(8, abs=2.5)


def test_a_target_that_dies_fails_the_soak(soaked, locustfile):
    (process, _), _ = soaked

    def kill(done, _text):
        if done > 0.2:
            process.stop()

    measured = soak(soaked, locustfile, 8, kill)
    assert measured.outcome == "failed"
    assert "ended after" in measured.summary
    assert replays(measured, locustfile.parent)
