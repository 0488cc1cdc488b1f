"""What becomes of a load whose generator, worker or server fails: it is seen, and it is never a pass."""

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from decision.objectives import Objective
from loadtests import generator as generator_module
from loadtests.generator import Load, generating
from loadtests.load import run_load
from loadtests.schedule import constant, offered
from processes.errors import CollectError
from processes.wait import wait_for
from tests.integration.loaded_server import Handler, loaded_server
from tests.unit.flows.replaying import replays

JOURNEYS = """
import time
from loadtests.arrivals import ArrivalUser
from loadtests.journey import Call

def plain(random):
    yield Call("GET", "/plain", "plain", "u")

def failing(random):
    yield Call("GET", "/fail", "fail", "u")

def busy(random):
    until = time.perf_counter() + 0.05
    while time.perf_counter() < until:
        pass
    yield Call("GET", "/plain", "plain", "u")

def broken(random):
    1 / 0
    yield

def rarely_broken(random):
    if random.random() < 0.2:
        raise ValueError("of the journey's own")
    answer = yield Call("GET", "/plain", "plain", "u")
    if random.random() < 0.2:
        raise KeyError(answer.status)

def rarely_empty(random):
    if random.random() < 0.2:
        return
    yield Call("GET", "/plain", "plain", "u")

def empty(random):
    return
    yield

def confused(random):
    yield "/plain"

class Some(ArrivalUser):
    journeys = {"plain": plain, "failing": failing, "busy": busy, "broken": broken, "rarely_broken": rarely_broken,
                "rarely_empty": rarely_empty, "empty": empty, "confused": confused}
"""

SLO = {"error-rate": Objective(unit="ratio", roll_back_at_once_above=0.05, at_least_requests=50)}


@pytest.fixture
def target():
    with loaded_server() as server:
        yield server


@pytest.fixture
def locustfile(tmp_path):
    path = tmp_path / "some.py"
    path.write_text(JOURNEYS)
    return path


def load(target, locustfile, journey="plain", seconds=6.0, rate=50.0, **options):
    settings = {"seed": 1, "slo": {}, "progress": lambda *_: None} | options
    return run_load(
        target,
        locustfile=locustfile,
        journey=journey,
        shape=constant(rate, seconds),
        work_dir=locustfile.parent,
        **settings,
    )


def locust_processes(work_dir: Path):
    """Generator, master and workers that run in the work folder, oldest first."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "create_time"]):
        command = " ".join(process.info["cmdline"] or [])
        if "loadtests.locust_process" in command and "guard.py" not in command and process.info["cwd"] == str(work_dir):
            found.append(process)
    return sorted(found, key=lambda process: process.info["create_time"])


def when(done_at_least, act):
    """A progress function that acts once."""
    acted = []

    def progress(done, _text):
        if done >= done_at_least and not acted:
            acted.append(True)
            act()

    return progress


def test_a_generator_that_was_stopped_for_a_third_of_the_time_shows_nothing(target, locustfile):
    def stop_for_a_while():
        (process,) = locust_processes(locustfile.parent)
        process.suspend()
        threading.Timer(3.0, process.resume).start()

    measured = load(target, locustfile, seconds=9, progress=when(0.3, stop_for_a_while))
    assert measured.outcome == "inconclusive"
    assert measured.result.held_rate == pytest.approx(2 / 3, abs=0.1)
    assert measured.result.late > 100
    assert replays(measured, locustfile.parent)


def test_a_generator_that_hangs_is_noticed_before_the_end(target, locustfile, monkeypatch):
    monkeypatch.setattr(generator_module, "HANGS_AFTER_S", 3.0)
    stopped_at = []

    def stop():
        stopped_at.append(time.monotonic())
        locust_processes(locustfile.parent)[0].suspend()

    with pytest.raises(CollectError, match="shows no life for 3 s"):
        load(target, locustfile, seconds=50, progress=when(0.02, stop))
    assert time.monotonic() - stopped_at[0] < 10
    assert not locust_processes(locustfile.parent)


def test_a_generator_that_is_killed_is_an_error(target, locustfile):
    with pytest.raises(CollectError, match="ended with 137"):
        load(target, locustfile, progress=when(0.3, lambda: locust_processes(locustfile.parent)[0].kill()))


def test_a_generator_that_is_terminated_early_shows_nothing(target, locustfile):
    def terminate():
        locust_processes(locustfile.parent)[0].terminate()

    measured = load(target, locustfile, progress=when(0.5, terminate))
    assert measured.outcome == "inconclusive"
    assert "was stopped after" in measured.summary
    assert measured.result.due_s < 6
    assert replays(measured, locustfile.parent)


def test_draining_lets_no_arrival_begin_and_waits_for_those_under_way(target, locustfile):
    asked = Load(target.url, locustfile, "plain", 50, 60, 1, 1.0)
    with generating(asked, locustfile.parent, name="drained") as generator:
        Handler.stalled_until_s = time.monotonic() + 2
        under_way = Handler.asked + 10
        wait_for(lambda: Handler.asked >= under_way, what="requests under way", timeout_s=5)
        generator.drain()
        drained_s = time.monotonic()
        generator.wait(every_s=0.1, tell=lambda _: True)
        assert 1 < time.monotonic() - drained_s < 8
    windows = generator.windows()
    started, completed = sum(w.started for w in windows), sum(w.completed for w in windows)
    assert started == completed == sum(w.offered for w in windows)
    assert offered(seed=1, shape=constant(50, 60), until_s=windows[-1].due_until_s) == started
    assert sum(w.errors for w in windows) == 0


def test_a_broken_limit_ends_the_load_and_fails_it_with_its_true_length(target, locustfile):
    began_s = time.monotonic()
    measured = load(target, locustfile, "failing", seconds=40, slo=SLO)
    assert measured.outcome == "failed"
    assert "error-rate is 100.0%" in measured.result.aborted
    assert measured.result.due_s < 15
    assert time.monotonic() - began_s < 30
    assert measured.result.held_rate == pytest.approx(1, abs=0.05)
    assert replays(measured, locustfile.parent)


def test_a_server_that_hangs_fails_the_load_and_not_the_generator(target, locustfile):
    Handler.stalled_until_s = time.monotonic() + 60
    # No abort here: the silence is judged by what the requests came to.
    measured = load(target, locustfile, seconds=2, slo={"error-rate": Objective(unit="ratio", promote_at_most=0.01)})
    assert measured.outcome == "failed"
    assert measured.result.held_rate > 0.95
    assert measured.result.error_rate == 1
    assert measured.result.completed == measured.result.offered


FEW_USERS = """
import loadtests.open_model
loadtests.open_model.USERS_AT_MOST = 20
"""


def test_arrivals_queue_where_all_users_wait_and_the_queueing_is_latency(target, locustfile):
    locustfile.write_text(JOURNEYS + FEW_USERS)
    Handler.stalled_until_s = time.monotonic() + 6
    result = load(target, locustfile, seconds=6).result
    assert result.held_rate == 1
    assert result.late == result.errors == 0
    assert result.completed == result.offered
    # The server answers from the first seconds of the load on; who had to wait for a user has waited for the server.
    assert result.latency.max_ms > 1500


def test_an_arrival_that_gets_no_turn_is_an_error_of_the_server_and_not_lost(target, locustfile):
    locustfile.write_text(JOURNEYS + FEW_USERS + "loadtests.open_model.ANSWER_WITHIN_S = 1.0\n")
    Handler.stalled_until_s = time.monotonic() + 60
    measured = load(target, locustfile, seconds=2, slo={"error-rate": Objective(unit="ratio", promote_at_most=0.01)})
    result = measured.result
    assert measured.outcome == "failed"
    assert result.completed == result.errors == result.offered
    assert result.held_rate == 1
    assert any("no turn within" in error for error in result.error_classes)


@pytest.mark.parametrize(
    ("journey", "error"),
    [
        ("broken", "journey broken: ZeroDivisionError: division by zero"),
        ("empty", "journey empty: ValueError: ended 10 times in a row before its first request"),
        ("confused", "journey confused: AttributeError: 'str' object has no attribute"),
    ],
)
def test_a_journey_that_never_makes_a_request_shows_nothing_and_is_named(target, locustfile, journey, error):
    measured = load(target, locustfile, journey, seconds=3)
    assert measured.outcome == "inconclusive"
    assert f"no request was made: {error}" in measured.summary
    result = measured.result
    assert result.started == result.finished == result.completed == result.errors > 50
    assert replays(measured, locustfile.parent)


def test_a_journey_that_breaks_now_and_then_is_an_error_each_time_and_the_load_goes_on(target, locustfile):
    result = load(target, locustfile, "rarely_broken").result
    assert result.started == result.finished == result.completed
    assert result.errors == sum(result.error_classes.values()) > 20
    assert set(result.error_classes) == {
        "journey rarely_broken: ValueError: of the journey's own",
        "journey rarely_broken: KeyError: 200",
    }
    assert result.latency.count == result.completed - result.errors


def test_a_journey_without_a_request_is_begun_anew(target, locustfile):
    result = load(target, locustfile, "rarely_empty").result
    assert result.started == result.completed == result.latency.count
    assert result.errors == 0


def test_a_saturated_generator_is_named_as_the_cause(target, locustfile):
    measured = load(target, locustfile, "busy")
    assert measured.outcome == "inconclusive"
    assert "it was saturated" in measured.summary


def test_two_workers_carry_out_the_one_schedule_between_them(target, locustfile):
    measured = load(target, locustfile, workers=2)
    result = measured.result
    assert measured.outcome == "passed"
    assert (result.workers, result.workers_lost) == (2, 0)
    assert result.offered == result.started == result.finished == result.completed == result.latency.count
    assert replays(measured, locustfile.parent)
    assert not locust_processes(locustfile.parent)


def test_a_lost_worker_is_named_and_makes_the_load_inconclusive(target, locustfile):
    measured = load(
        target, locustfile, workers=2, progress=when(0.3, lambda: locust_processes(locustfile.parent)[-1].kill())
    )
    assert measured.outcome == "inconclusive"
    assert "1 of 2 workers" in measured.summary
    assert 0.5 < measured.result.held_rate < 0.9
    assert measured.result.started < measured.result.offered
    assert "was lost" in (locustfile.parent / "load.log").read_text()
    assert replays(measured, locustfile.parent)


def test_a_worker_that_is_stopped_is_lost(target, locustfile):
    measured = load(
        target,
        locustfile,
        workers=2,
        seconds=9,
        progress=when(0.2, lambda: locust_processes(locustfile.parent)[-1].suspend()),
    )
    assert measured.outcome == "inconclusive"
    assert measured.result.workers_lost == 1
    assert not locust_processes(locustfile.parent)


def test_a_master_that_is_killed_leaves_no_orphans(target, locustfile):
    with pytest.raises(CollectError, match="ended with 137"):
        load(target, locustfile, workers=2, progress=when(0.3, lambda: locust_processes(locustfile.parent)[0].kill()))
    wait_for(lambda: not locust_processes(locustfile.parent), what="no process left", timeout_s=5)


def test_a_drained_master_waits_for_its_workers(target, locustfile):
    asked = Load(target.url, locustfile, "plain", 50, 60, 1, 1.0, workers=2)
    with generating(asked, locustfile.parent, name="drained") as generator:
        os.kill(generator.process.pid, signal.SIGTERM)
        generator.wait(every_s=0.1, tell=lambda _: True)
    windows = generator.windows()
    assert windows[-1].workers == 2
    assert windows[-1].due_until_s < 60
    assert sum(w.started for w in windows) == sum(w.completed for w in windows)
