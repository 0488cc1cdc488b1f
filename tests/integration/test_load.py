"""Locust against a real server that stalls, fails and limits."""

import time

import pytest

from loadtests.load import run_load
from loadtests.schedule import constant
from loadtests.traffic import traffic
from processes.errors import UsageError
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

def refused(random):
    yield Call("GET", "/limit", "limit", "u")

def failing(random):
    yield Call("GET", "/fail", "fail", "u")

def slow(random):
    yield Call("GET", "/slow", "slow", "u")

class Some(ArrivalUser):
    journeys = {"slow": slow, "plain": plain, "mixed": mixed, "refused": refused, "failing": failing}
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
    assert result.served_rate == pytest.approx(0.5, rel=0.1)
    assert set(result.by_endpoint) == {"plain", "fail", "limit", "missing"}


def test_a_target_that_answers_only_429_was_not_under_the_load(target, locustfile):
    measured = load(target, locustfile, "refused")
    assert measured.outcome == "inconclusive"
    assert "the target refused 100.0% of the load with 429" in measured.summary
    assert (measured.result.error_rate, measured.result.served_rate) == (0, 0)
    assert replays(measured, locustfile.parent)


def test_a_target_that_answers_only_errors_fails_without_any_limit(target, locustfile):
    measured = load(target, locustfile, "failing")
    assert measured.outcome == "failed"
    assert "only 0.0% of the requests were served, 100.0% were errors" in measured.summary
    assert "most often fail: status 500" in measured.summary
    assert replays(measured, locustfile.parent)


def test_a_target_that_takes_its_time_to_answer_is_not_silent(target, locustfile):
    measured = load(target, locustfile, "slow", shape=constant(10, 8))
    assert measured.outcome == "passed", measured.summary
    assert measured.result.aborted is None
    assert measured.result.p95_ms == pytest.approx(4000, rel=0.1)


def test_a_stall_shows_in_the_latency_of_the_requests_that_should_have_begun_meanwhile(target, locustfile):
    def stall_once(_done, _text):
        if not Handler.stalled_until_s:
            Handler.stalled_until_s = time.monotonic() + 2

    result = load(target, locustfile, progress=stall_once).result
    assert result.latency.max_ms > 1500
    # Two of six seconds: a third of all requests should have begun during the stall.
    assert result.p95_ms > 1000


@pytest.mark.parametrize("workers", [1, 2])
def test_a_journey_that_does_not_exist_is_one_line_for_the_user(target, locustfile, workers):
    with pytest.raises(UsageError) as refused:
        load(target, locustfile, "no such journey", workers=workers)
    known = "slow, plain, mixed, refused, failing"
    assert str(refused.value) == f"{locustfile}: has no journey 'no such journey'; it has {known}"


def test_traffic_stops_with_its_block(target, locustfile):
    options = {"locustfile": locustfile, "journey": "plain", "rate_per_s": 20, "seed": 1, "work_dir": locustfile.parent}
    with traffic(target.url, **options, longest_s=60) as running:
        assert running.alive()
    assert not running.alive()
