"""A worker of a distributed load: takes its share of the schedule. Runs inside the Locust process only."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from socket import gethostname
from typing import Any

import gevent
from gevent.queue import Empty, Queue

from loadtests.open_model import Member, Run, Share
from loadtests.settings import Settings, locustfile_digest, reachable, read_settings

HELLO, READY, WINDOW, DONE = "gonogo-hello", "gonogo-ready", "gonogo-window", "gonogo-done"
PREPARE, BEGIN, DRAIN, OVER, REFUSED = "gonogo-prepare", "gonogo-begin", "gonogo-drain", "gonogo-over", "gonogo-refused"

_MASTER_SILENT_S = 10.0
"""A worker that has not heard of its master for so long ends."""


def join_master(
    host: str,
    port: int,
    locustfile: str,
    make_environment: Callable[[str, str], Any],
    member_maker: Callable[[Settings, Any], Callable[[Run], Member]],
) -> int:
    """Join the master, carry out a share of its load, and end with it. Exit code 1 when there is no master any more."""
    environment = make_environment(locustfile, f"http://{host}")
    heard_s = [time.monotonic()]

    def heard(**_: Any) -> None:
        heard_s[0] = time.monotonic()

    environment.events.heartbeat_received.add_listener(heard)
    try:
        runner = environment.create_worker_runner(host, port)
    except ConnectionError:
        sys.exit(f"no master answers at {host}:{port}")
    inbox: Queue[tuple[str, Any]] = Queue()
    for kind in (PREPARE, BEGIN, DRAIN, OVER, REFUSED):
        runner.register_message(kind, lambda msg, **_: inbox.put((msg.type, msg.data)))
    run: Run | None = None
    follower: Any = None

    def stop() -> None:
        if run is None or follower is None:
            os._exit(1)
        run.drain()

    gevent.signal_handler(signal.SIGTERM, stop)
    hello = {"locustfile": locustfile_digest(locustfile), "host": gethostname(), "pid": os.getpid()}
    runner.send_message(HELLO, hello)
    while True:
        kind, data = _next_message(inbox, heard_s)
        if kind == PREPARE:
            settings = read_settings(data["settings"])
            _aim(environment, reachable(settings.url, host))
            environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
            environment.events.test_start.fire(environment=environment)
            share = Share(data["index"], data["of"])
            run = Run(settings, share, member_maker(settings, environment), lambda e: _send(runner, e))
            run.prepare()
            runner.send_message(READY)
        elif kind == BEGIN and run is not None:
            run.begin()
            follower = gevent.spawn(_follow, run, runner)
        elif kind == DRAIN and run is not None:
            run.drain()
        elif kind == REFUSED:
            sys.exit(f"the master refuses this worker: {data['why']}")
        elif kind == OVER:
            environment.events.test_stop.fire(environment=environment)
            return 0


def _aim(environment: Any, url: str) -> None:
    environment.host = url
    for user_class in environment.user_classes:
        user_class.host = url


def _follow(run: Run, runner: Any) -> None:
    try:
        run.follow()
    except BaseException as error:  # noqa: BLE001 - whatever it is, this worker must not live on and look well
        print(f"the worker broke: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    runner.send_message(DONE)


def _send(runner: Any, entry: dict[str, Any]) -> None:
    runner.send_message(WINDOW, {"entry": json.dumps(entry)})


def _next_message(inbox: "Queue[tuple[str, Any]]", heard_s: list[float]) -> tuple[str, Any]:
    while True:
        try:
            kind, data = inbox.get(timeout=1.0)
            return kind, data
        except Empty:
            if time.monotonic() - heard_s[0] > _MASTER_SILENT_S:
                sys.exit(f"nothing was heard of the master for {_MASTER_SILENT_S:g} s")
