"""Users of an ordinary locustfile under the arrivals of the open model. Runs inside the Locust process only.

At each arrival one user executes one task, chosen by Locust's weights; ``wait_time`` is not used, for the schedule says
when. Every request that the task makes is counted through Locust's own event. The first one's latency begins at the
intended time: what the arrival waited for the generator or for a free user is added to it. An answer of 429 is counted
apart, whatever the locustfile makes of it; what the locustfile calls a failure is an error. A request has as long for
an answer as one of a journey, where the locustfile does not say otherwise.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import gevent
from locust import FastHttpUser, TaskSet
from locust.clients import HttpSession
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, DefaultTaskSet

from loadtests.arrivals import record_broken
from loadtests.open_model import Arrival, Member, Run
from loadtests.settings import ANSWER_WITHIN_S


@dataclass
class _Iteration:
    """One execution of a task: how long it waited for its user, and whether its first request was seen."""

    waited_s: float
    first_seen: bool = False


_ATTRIBUTE = "gonogo_iteration"


def task_member(user_classes: Sequence[type[Any]], environment: Any) -> Callable[[Run], Member]:
    """What makes members of the pool that execute tasks; listens to all requests of the environment."""
    listening = False
    for user_class in user_classes:
        if issubclass(user_class, FastHttpUser):
            _limit_answers(user_class)

    def make_member(run: Run) -> Member:
        nonlocal listening
        if not listening:
            listening = True
            environment.events.request.add_listener(_listener(run))
        random = Random(f"{run.settings.seed} {run.share.index} user {run.journeys}")
        run.journeys += 1
        weights = [float(user_class.weight) for user_class in user_classes]
        user = random.choices(list(user_classes), weights)[0](environment)
        if isinstance(client := getattr(user, "client", None), HttpSession):
            client.request = partial(client.request, timeout=ANSWER_WITHIN_S)
        return _member(run, user)

    return make_member


def _limit_answers(user_class: type[FastHttpUser]) -> None:
    """Locust's own time-outs, of a minute, become those of a journey's requests."""
    for name in ("connection_timeout", "network_timeout"):
        if getattr(user_class, name) == getattr(FastHttpUser, name):
            setattr(user_class, name, ANSWER_WITHIN_S)


def _member(run: Run, user: Any) -> Member:
    started = False
    tasks = user._taskset_instance = DefaultTaskSet(user)
    open_sets: dict[type[TaskSet], TaskSet] = {}
    user._state = LOCUST_STATE_RUNNING

    def carry_out(arrival: Arrival) -> None:
        nonlocal started
        iteration = _Iteration(max(0.0, run.now_s() - arrival.intended_s))
        if not started:
            # It belongs to the user, not to the arrival: its requests are counted from when they begin.
            started = True
            _without_interruption(run, "on_start", user.on_start)
        setattr(gevent.getcurrent(), _ATTRIBUTE, iteration)
        task = tasks.get_next_task()
        _without_interruption(run, getattr(task, "__name__", "task"), lambda: _execute(tasks, task, open_sets))
        setattr(gevent.getcurrent(), _ATTRIBUTE, None)

    return carry_out


def _execute(parent: Any, task: Any, open_sets: dict[type[TaskSet], TaskSet]) -> None:
    """Execute one task; of a nested task set, its next one. The set is left when it interrupts itself."""
    if not (isinstance(task, type) and issubclass(task, TaskSet)):
        parent.execute_task(task)
        return
    inner = open_sets.get(task)
    try:
        if inner is None:
            inner = open_sets[task] = task(parent.user)
            inner.on_start()
        _execute(inner, inner.get_next_task(), open_sets)
    except InterruptTaskSet:
        open_sets.pop(task, None)
        if inner is not None:
            inner.on_stop()


def _without_interruption(run: Run, name: str, action: Callable[[], None]) -> None:
    """Locust's own signals end an execution as they should; any other exception is an error of the task."""
    try:
        with suppress(InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser):
            action()
    except Exception as error:  # noqa: BLE001 - a locustfile may raise anything, and the load goes on
        record_broken(run, f"task {name}", error)


def _listener(run: Run) -> Callable[..., None]:
    def on_request(
        name: str, response_time: float, response: Any = None, exception: BaseException | None = None, **_: Any
    ) -> None:
        latency_s = float(response_time or 0.0) / 1000
        iteration: _Iteration | None = getattr(gevent.getcurrent(), _ATTRIBUTE, None)
        if iteration is not None and not iteration.first_seen:
            iteration.first_seen = True
            latency_s += iteration.waited_s
        status = int(getattr(response, "status_code", 0) or 0)
        if status == 429:
            run.window.limited(str(name), latency_s)
        elif exception is not None:
            run.window.bad(str(name), latency_s, f"status {status}" if status >= 400 else type(exception).__name__)
        else:
            run.window.good(str(name), latency_s, status)

    return on_request
