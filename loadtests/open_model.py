"""The open model: arrivals begin when the schedule says, whatever the server does. Runs inside the Locust process only.

Locust by itself is closed: when the server stalls, its users wait, and the requests that should have begun meanwhile
are never made nor measured. Here one greenlet follows the schedule and hands each arrival to a free user of a pool,
and latency is counted from the intended time ("How NOT to Measure Latency", G. Tene; wrk2). The pool grows while all
its users wait for answers; at its limit arrivals queue, which counts as latency too.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

import gevent
import psutil
from gevent.event import Event

from loadtests.precise_timer import PreciseTimer
from loadtests.schedule import arrivals, duration_s, highest_per_s
from loadtests.settings import ANSWER_WITHIN_S, DRAIN_S, Settings
from loadtests.window_log import WindowLog

LATE_S = 0.1
"""An arrival handed out later than this is the generator's own fault: it had nothing else to do."""

USERS_AT_MOST = 4000
_UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Arrival:
    """One arrival: when it was to begin, and when it was handed out (seconds since the beginning)."""

    intended_s: float
    handed_out_s: float


@dataclass(frozen=True)
class Share:
    """Which arrivals are this process's: number ``index``, and every ``of``-th after it."""

    index: int
    of: int


Member = Callable[[Arrival], None]
"""A user of the pool: carries out one arrival after the other."""


class Run:
    """One run of the generator: the schedule, the pool, and the window being filled."""

    def __init__(
        self,
        settings: Settings,
        share: Share,
        make_member: Callable[["Run"], Member],
        emit: Callable[[dict[str, Any]], None],
    ) -> None:
        self.settings = settings
        self.share = share
        self.began_s = 0.0
        self.began_at = 0.0
        self.journeys = 0
        self._make_member = make_member
        self._emit = emit
        self._names: set[str] = set()
        self.window = WindowLog(0.0, self._names)
        self._sequence = 0
        self._end_s = duration_s(settings.shape)
        self._to_count = self._own_arrivals()
        self._next_to_count: float | None = next(self._to_count, None)
        rate_per_s = highest_per_s(settings.shape) / share.of
        self._members = 0
        self._members_at_most = max(20, min(USERS_AT_MOST // share.of, round(rate_per_s * ANSWER_WITHIN_S * 1.2)))
        self._members_at_first = max(10, min(500, round(rate_per_s / 2)))
        self._idle: deque[Member] = deque()
        self._waiting: deque[Arrival] = deque()
        self._in_flight: dict[Any, Arrival] = {}
        self._draining = Event()
        self._drained_at_s = self._end_s
        self._closed = False
        self._failure: BaseException | None = None
        self._process = psutil.Process()
        self._cpu_s = 0.0

    def now_s(self) -> float:
        """Seconds since the beginning, of a clock that never jumps."""
        return time.monotonic() - self.began_s

    def random_of_next_journey(self) -> Random:
        """The random numbers of the next new user, the same in every run."""
        self.journeys += 1
        return Random(f"{self.settings.seed} {self.share.index} {self.journeys}")

    def prepare(self) -> None:
        """Make the first users of the pool."""
        for _ in range(self._members_at_first):
            self._idle.append(self._new_member())

    def begin(self) -> None:
        """Begin with the schedule."""
        self.began_s, self.began_at = time.monotonic(), time.time()
        self._cpu_s = time.process_time()
        self._dispatcher = gevent.spawn(self._dispatch)
        self._dispatcher.link_exception(lambda greenlet: self._fail(greenlet.exception))

    def drain(self) -> None:
        """Let no arrival begin any more; what was begun goes on."""
        if not self._draining.is_set():
            self._drained_at_s = min(self.now_s(), self._end_s) if self.began_s else 0.0
            self._draining.set()

    def follow(self) -> None:
        """Write the windows until all is over. Raises whatever broke the run."""
        due_s = window_s = self.settings.window_s
        while True:
            self._draining.wait(max(0.0, min(due_s, self._drained_at_s) - self.now_s()))
            while due_s < self._drained_at_s and self.now_s() >= due_s:
                self._close_window(due_s, due_s)
                due_s += window_s
            if self.now_s() >= self._drained_at_s:
                break
        until_s = self._drained_at_s + DRAIN_S
        while (self._in_flight or self._waiting or self._dispatches()) and self.now_s() < until_s and not self._failure:
            gevent.sleep(0.02)
        self._give_up_the_rest()
        self._close_window(self.now_s(), self._drained_at_s)
        if self._failure:
            raise self._failure

    def _dispatches(self) -> bool:
        return not self._draining.is_set() and not self._dispatcher.dead

    def _own_arrivals(self) -> Iterator[float]:
        every = arrivals(seed=self.settings.seed, shape=self.settings.shape)
        return islice(every, self.share.index, None, self.share.of)

    def _dispatch(self) -> None:
        timer = PreciseTimer()
        for intended_s in self._own_arrivals():
            timer.sleep(intended_s - self.now_s())
            if self._draining.is_set():
                return
            now_s = self.now_s()
            self.window.counts["late"] += now_s - intended_s > LATE_S
            self._hand_out(Arrival(intended_s, now_s))

    def _hand_out(self, arrival: Arrival) -> None:
        if self._idle:
            self._spawn(self._idle.popleft(), arrival)
        elif self._members < self._members_at_most:
            self._spawn(self._new_member(), arrival)
        else:
            self._waiting.append(arrival)

    def _new_member(self) -> Member:
        self._members += 1
        return self._make_member(self)

    def _spawn(self, member: Member, arrival: Arrival) -> None:
        greenlet = gevent.spawn(self._carry_out, member, arrival)
        greenlet.link_exception(lambda failed: self._fail(failed.exception))

    def _carry_out(self, member: Member, arrival: Arrival | None) -> None:
        this = gevent.getcurrent()
        while arrival is not None:
            self._in_flight[this] = arrival
            self.window.counts["started"] += 1
            member(arrival)
            del self._in_flight[this]
            self.window.counts["finished"] += 1
            arrival = self._next_waiting()
        self._idle.append(member)

    def _next_waiting(self) -> Arrival | None:
        while self._waiting:
            arrival = self._waiting.popleft()
            if self.now_s() - arrival.handed_out_s < ANSWER_WITHIN_S:
                return arrival
            self._give_up(arrival)
        return None

    def _give_up(self, arrival: Arrival) -> None:
        """The user has waited for its turn as long as it would have waited for an answer: the server's failure."""
        self.window.counts["started"] += 1
        self.window.counts["finished"] += 1
        why = f"no turn within {ANSWER_WITHIN_S:g} s, all {self._members} users waited for answers"
        self.window.bad(_UNFINISHED, self.now_s() - arrival.intended_s, why)

    def _give_up_the_rest(self) -> None:
        """What is not over by now never was: each is an error, and nothing that comes later is counted."""
        unfinished = dict(self._in_flight)
        for arrival in unfinished.values():
            self.window.counts["finished"] += 1
            self.window.bad(
                _UNFINISHED, self.now_s() - arrival.intended_s, f"not over {DRAIN_S:g} s after the load's end"
            )
        while self._waiting:
            self._give_up(self._waiting.popleft())
        final, self.window = self.window, WindowLog(self.now_s(), self._names)
        gevent.killall(list(unfinished), block=True, timeout=1.0)
        self.window = final

    def _fail(self, failure: BaseException) -> None:
        if not isinstance(failure, gevent.GreenletExit):
            self._failure = self._failure or failure
            self.drain()

    def _close_window(self, now_s: float, due_until_s: float) -> None:
        """Hand the window on and begin the next."""
        window, self.window = self.window, WindowLog(now_s, self._names)
        offered = 0
        while self._next_to_count is not None and self._next_to_count < due_until_s:
            offered += 1
            self._next_to_count = next(self._to_count, None)
        cpu_s, self._cpu_s = self._cpu_s, time.process_time()
        self._emit(
            window.entry(self._sequence, now_s, due_until_s)
            | {
                "offered": offered,
                "generator_cpu": (self._cpu_s - cpu_s) / max(now_s - window.started_s, 1e-9),
                "generator_rss_bytes": self._process.memory_info().rss,
                "clock_offset_s": time.time() - self.began_at - self.now_s(),
            }
        )
        self._sequence += 1
