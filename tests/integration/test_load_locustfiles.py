"""Ordinary locustfiles under the open model, and workers that join from elsewhere."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loadtests.load import run_load
from loadtests.schedule import constant
from loadtests.window_log import NAMES_AT_MOST, OTHER
from processes.errors import CollectError, UsageError
from processes.ports import free_port
from tests.integration.loaded_server import Handler, loaded_server
from tests.unit.flows.replaying import replays

ROOT = Path(__file__).resolve().parents[2]

ORDINARY = """
from itertools import count
from locust import FastHttpUser, HttpUser, SequentialTaskSet, TaskSet, between, task

numbers = count()

class Steps(SequentialTaskSet):
    @task
    def one(self):
        self.client.get("/one")

    @task
    def two(self):
        self.client.get("/two")
        self.interrupt()

class Slow(HttpUser):
    wait_time = between(100, 200)
    weight = 1
    tasks = [Steps]

    def on_start(self):
        self.client.get("/login")

class Fast(FastHttpUser):
    wait_time = between(100, 200)
    weight = 3

    @task(3)
    def page(self):
        self.client.get("/page")
        self.client.get("/picture")

    @task(1)
    def limited(self):
        self.client.get("/limit")

    @task(1)
    def wanted_missing(self):
        with self.client.get("/missing", catch_response=True) as response:
            response.success()

    @task(1)
    def broken(self):
        raise ValueError("of the locustfile's own")
"""

UNIQUE = """
from itertools import count
from locust import HttpUser, task

numbers = count()

class Everywhere(HttpUser):
    @task
    def anywhere(self):
        self.client.get(f"/item/{next(numbers)}")
"""

UNHURRIED = """
from locust import FastHttpUser, HttpUser, task

class Waits(HttpUser):
    @task(2)
    def page(self):
        self.client.get("/too-slow", name="http")

    @task
    def longer(self):
        self.client.get("/too-slow", name="own time-out", timeout=14)

class WaitsToo(FastHttpUser):
    @task
    def page(self):
        self.client.get("/too-slow", name="fast")
"""

BROKEN = """
from locust import HttpUser, task

class Broken(HttpUser):
    @task
    def wrong(self):
        raise RuntimeError("of the locustfile's own")
"""

PLAIN = """
from locust import FastHttpUser, task

class Plain(FastHttpUser):
    @task
    def plain(self):
        self.client.get("/plain")
"""


@pytest.fixture
def target():
    with loaded_server() as server:
        yield server


def load(target, folder, text, seconds=6.0, rate=50.0, **options):
    locustfile = folder / "locustfile.py"
    locustfile.write_text(text)
    settings = {"journey": None, "seed": 1, "slo": {}, "progress": lambda *_: None} | options
    return run_load(target, locustfile=locustfile, shape=constant(rate, seconds), work_dir=folder, **settings)


def test_an_arrival_executes_one_task_and_each_of_its_requests_is_counted(target, tmp_path):
    measured = load(target, tmp_path, ORDINARY)
    result = measured.result
    assert replays(measured, tmp_path)
    assert result.arrivals == "iterations"
    assert result.offered == result.started == result.finished
    assert result.held_rate == 1
    count = {name: latency.count for name, latency in result.by_endpoint.items()}
    assert count["/page"] == count["/picture"]
    assert count["/limit"] == result.rate_limited
    assert count["/missing"] == result.expected_4xx
    assert count["/two"] <= count["/one"] <= count["/two"] + count["/login"]
    tasks_broken = sum(times for name, times in result.error_classes.items() if name.startswith("task broken"))
    assert tasks_broken == result.errors > 0
    in_tasks = count["/page"] + count["/limit"] + count["/missing"] + count["/one"] + count["/two"] + tasks_broken
    assert in_tasks == result.finished
    assert result.completed == result.latency.count + tasks_broken
    # Weights: three quarters of the users are Fast, and half of their tasks are page.
    assert count["/page"] == pytest.approx(result.finished * 3 / 8, rel=0.4)


def test_a_request_of_an_ordinary_locustfile_has_ten_seconds_unless_it_says_otherwise(target, tmp_path):
    result = load(target, tmp_path, UNHURRIED, seconds=2, rate=15).result
    assert set(result.by_endpoint) == {"http", "own time-out", "fast"}
    for name, took_ms in (("http", 10_000), ("fast", 10_000), ("own time-out", 12_000)):
        assert result.by_endpoint[name].p50_ms == pytest.approx(took_ms, rel=0.08)
    assert result.errors == sum(result.by_endpoint[name].count for name in ("http", "fast"))
    assert {name.split(":")[0] for name in result.error_classes} == {"http", "fast"}


def test_a_locustfile_that_always_raises_shows_nothing_and_its_error_is_named(target, tmp_path):
    measured = load(target, tmp_path, BROKEN, seconds=3)
    named = "task wrong: RuntimeError: of the locustfile's own"
    assert measured.outcome == "inconclusive"
    assert f"100.00% errors, most often {named}" in measured.summary
    assert f"no request was made: {named}" in measured.summary
    assert replays(measured, tmp_path)


def test_a_stall_shows_in_an_ordinary_locustfile_too(target, tmp_path):
    def stall_once(_done, _text):
        if not Handler.stalled_until_s:
            Handler.stalled_until_s = time.monotonic() + 2

    result = load(target, tmp_path, PLAIN, progress=stall_once).result
    assert result.held_rate == 1
    assert result.latency.max_ms > 1500
    assert result.p95_ms > 1000


def test_unique_urls_are_counted_under_one_name_after_the_first_ones(target, tmp_path):
    result = load(target, tmp_path, UNIQUE, seconds=4).result
    assert len(result.by_endpoint) == NAMES_AT_MOST + 1
    assert result.by_endpoint[OTHER].count == result.completed - NAMES_AT_MOST


def test_a_locustfile_with_journeys_needs_the_name_of_one(target, tmp_path):
    text = "from loadtests.arrivals import ArrivalUser\nclass Some(ArrivalUser):\n    journeys = {'one': None}\n"
    with pytest.raises(UsageError, match=r"locustfile.py: Some has journeys: name one of one$"):
        load(target, tmp_path, text)


def worker(port, locustfile, log):
    argv = [sys.executable, "-m", "loadtests.locust_process", "worker", "--master", f"127.0.0.1:{port}"]
    with log.open("wb") as output:
        return subprocess.Popen([*argv, "--locustfile", str(locustfile)], cwd=ROOT, stderr=output)


def test_workers_that_join_by_hand_share_the_schedule(target, tmp_path):
    port = free_port()
    (tmp_path / "locustfile.py").write_text(PLAIN)
    other = tmp_path / "other.py"
    other.write_text(UNIQUE)
    refused = worker(port, other, tmp_path / "refused.log")
    joined = worker(port, tmp_path / "locustfile.py", tmp_path / "joined.log")
    try:
        measured = load(target, tmp_path, PLAIN, workers=1, remote_workers=1, bind=f"127.0.0.1:{port}")
        assert joined.wait(10) == 0
        assert refused.wait(10) == 1
    finally:
        for process in (refused, joined):
            process.kill()
            process.wait()
    assert "its locustfile is another one" in (tmp_path / "refused.log").read_text()
    result = measured.result
    assert measured.outcome == "passed"
    assert (result.workers, result.workers_lost) == (2, 0)
    assert result.offered == result.started == result.completed


def test_a_worker_ends_when_its_master_is_gone(target, tmp_path):
    port = free_port()
    (tmp_path / "locustfile.py").write_text(PLAIN)
    joined = worker(port, tmp_path / "locustfile.py", tmp_path / "joined.log")

    def kill_master(_done, _text):
        for process in psutil.process_iter(["cmdline", "cwd", "pid"]):
            command = process.info["cmdline"] or []
            if command[1:] == ["-m", "loadtests.locust_process"] and process.info["cwd"] == str(tmp_path):
                process.kill()

    try:
        with pytest.raises(CollectError, match="ended with 137"):
            load(target, tmp_path, PLAIN, workers=1, remote_workers=1, bind=f"127.0.0.1:{port}", progress=kill_master)
        assert joined.wait(20) == 1
    finally:
        joined.kill()
        joined.wait()
    assert "nothing was heard of the master for 10 s" in (tmp_path / "joined.log").read_text()
