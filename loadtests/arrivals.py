"""Open-model arrivals for Locust. Runs inside the Locust process only.

Locust by itself is closed: when the server stalls, its users wait, and the requests that should have begun meanwhile
are never made nor measured. Here a seeded Poisson schedule says when each request is to begin. A pool of users takes
the arrivals in turn, and latency is counted from the intended time ("How NOT to Measure Latency", G. Tene; wrk2).

Every window is appended to a JSON-lines file as it ends: counts, error classes and one HDR histogram per endpoint.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import gevent
import psutil
from gevent.event import Event
from hdrh.histogram import HdrHistogram
from locust import FastHttpUser, events, task
from locust.exception import StopUser

from loadtests.journey import Answer, Call, Journey, MakeJourney
from loadtests.schedule import arrivals

HIGHEST_US = 120_000_000
SIGNIFICANT_DIGITS = 3

_LATE_S = 0.1
_DRAIN_S = 15.0
_ANSWER_WITHIN_S = 10.0


@dataclass(frozen=True)
class Settings:
    """What the generator is told, as JSON in the environment variable ``GONOGO_LOAD``."""

    journey: str
    rate_per_s: float
    duration_s: float
    seed: int
    window_s: float
    windows_file: str


class _Window:
    """Counts of one window."""

    def __init__(self, started_s: float) -> None:
        self.started_s = started_s
        self.counts: Counter[str] = Counter()
        self.error_classes: Counter[str] = Counter()
        self.histograms: dict[str, Any] = {}

    def record(self, call: Call, answer: Answer, error: str | None, latency_s: float) -> None:
        self.counts["completed"] += 1
        if answer.status == 429:
            self.counts["rate_limited"] += 1
        elif answer.status in call.expect:
            self.counts["expected_4xx"] += 400 <= answer.status < 500
        else:
            self.counts["errors"] += 1
            self.error_classes[error or f"{call.name}: status {answer.status}"] += 1
        histogram = self.histograms.get(call.name)
        if histogram is None:
            histogram = self.histograms[call.name] = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
        histogram.record_value(min(max(round(latency_s * 1e6), 1), HIGHEST_US))


class _Run:
    """One run of the generator: the schedule, the window being filled, and the file."""

    def __init__(self, settings: Settings, runner: Any) -> None:
        self.settings = settings
        self.runner = runner
        self.begun = Event()
        self.began_s = self.began_at = 0.0
        self.arrivals = _arrivals(settings)
        self.to_count = _arrivals(settings)
        self.next_to_count: float | None = next(self.to_count, None)
        self.in_flight = 0
        self.workers = 0
        self.exhausted = self.closed = False
        self.window = _Window(0.0)
        self.sequence = 0
        self.cpu_s = time.process_time()
        self.file = Path(settings.windows_file).open("a", encoding="utf-8")  # noqa: SIM115 - lives as long as the process

    def now_s(self) -> float:
        return time.monotonic() - self.began_s

    def begin(self) -> None:
        self.began_s, self.began_at = time.monotonic(), time.time()
        self.cpu_s = time.process_time()
        self.begun.set()

    def close_window(self, now_s: float) -> None:
        """Append the window to the file, durably, and begin the next."""
        window, self.window = self.window, _Window(now_s)
        offered = 0
        while self.next_to_count is not None and self.next_to_count < now_s:
            offered += 1
            self.next_to_count = next(self.to_count, None)
        cpu_s, self.cpu_s = self.cpu_s, time.process_time()
        counts = ("started", "late", "completed", "errors", "rate_limited", "expected_4xx")
        entry = {
            "sequence": self.sequence,
            "started_at": self.began_at + window.started_s,
            "finished_at": self.began_at + now_s,
            "offered": offered,
            **{name: window.counts[name] for name in counts},
            "error_classes": dict(window.error_classes.most_common(20)),
            "generator_cpu": (self.cpu_s - cpu_s) / max(now_s - window.started_s, 1e-9),
            "generator_rss_bytes": psutil.Process().memory_info().rss,
            "clock_offset_s": time.time() - (self.began_at + self.now_s()),
            "histograms": {name: histogram.encode().decode() for name, histogram in window.histograms.items()},
        }
        self.sequence += 1
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())


def _arrivals(settings: Settings) -> Iterator[float]:
    return arrivals(seed=settings.seed, rate_per_s=settings.rate_per_s, duration_s=settings.duration_s)


_runs: list[_Run] = []


class ArrivalUser(FastHttpUser):
    """Base of a locustfile's user: a member of the pool that carries out arrivals. Subclasses fill ``journeys``."""

    abstract = True
    journeys: ClassVar[dict[str, MakeJourney]] = {}
    connection_timeout = network_timeout = _ANSWER_WITHIN_S
    max_retries = 0
    max_redirects = 0

    @task
    def carry_out_arrivals(self) -> None:
        """Take arrivals until the schedule ends."""
        run = _runs[0]
        make = self.journeys[run.settings.journey]
        random = Random(f"{run.settings.seed} {run.workers}")
        run.workers += 1
        run.begun.wait()
        journey: Journey | None = None
        answer: Answer | None = None
        for intended_s in run.arrivals:
            call, journey = _next_call(journey, answer, make, random)
            ahead_s = intended_s - run.now_s()
            if ahead_s > 0:
                gevent.sleep(ahead_s)
                # Late though a user was free and waiting: the generator's own fault, not the server's.
                run.window.counts["late"] += run.now_s() - intended_s > _LATE_S
            answer = self._carry_out(run, call, intended_s)
        run.exhausted = True
        raise StopUser

    def _carry_out(self, run: _Run, call: Call, intended_s: float) -> Answer:
        run.window.counts["started"] += 1
        run.in_flight += 1
        error = None
        with self.client.request(
            call.method,
            call.path,
            name=call.name,
            json=call.json,
            headers={"X-User-Id": call.user_id},
            catch_response=True,
        ) as response:
            status = int(response.status_code or 0)
            if status == 0:
                error = f"{call.name}: {type(response.error).__name__}"
            body = _json_object(response.text) if 200 <= status < 300 else {}
            response.success()  # Locust's own totals are not used; ours are in the windows
        run.in_flight -= 1
        answer = Answer(status, body)
        run.window.record(call, answer, error, run.now_s() - intended_s)
        return answer


def _next_call(
    journey: Journey | None, answer: Answer | None, make: MakeJourney, random: Random
) -> tuple[Call, Journey]:
    """The next call of the journey, or the first of a new one."""
    if journey is not None and answer is not None:
        try:
            return journey.send(answer), journey
        except StopIteration:
            pass  # the journey is at its end: a new user arrives
    journey = make(random)
    return next(journey), journey


def _json_object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@events.init.add_listener
def _prepare(environment: Any, runner: Any, **_: Any) -> None:
    wanted = json.loads(os.environ["GONOGO_LOAD"])["journey"]
    for user in environment.user_classes:
        if wanted not in getattr(user, "journeys", {}):
            sys.exit(f"{user.__name__} of the locustfile has no journey {wanted!r}")
    _runs.append(_Run(Settings(**json.loads(os.environ["GONOGO_LOAD"])), runner))


@events.spawning_complete.add_listener
def _begin(**_: Any) -> None:
    if _runs and not _runs[0].begun.is_set():
        _runs[0].begin()
        gevent.spawn(_write_windows, _runs[0])


@events.quitting.add_listener
def _stop(**_: Any) -> None:
    for run in _runs:
        if run.begun.is_set() and not run.closed:
            run.closed = True
            run.close_window(run.now_s())


def _write_windows(run: _Run) -> None:
    window_s, end_s = run.settings.window_s, run.settings.duration_s
    due_s = window_s
    while run.now_s() < end_s:
        gevent.sleep(max(0.0, min(due_s, end_s) - run.now_s()))
        if run.now_s() >= due_s and due_s < end_s:
            run.close_window(due_s)
            due_s += window_s
    while (run.in_flight or not run.exhausted) and run.now_s() < end_s + _DRAIN_S:
        gevent.sleep(0.05)
    run.closed = True
    run.close_window(run.now_s())
    run.runner.quit()
