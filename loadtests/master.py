"""The master of a distributed load: shares the schedule among workers and merges their windows exactly.

Runs inside the Locust process only. A worker that is lost stays lost: its arrivals were offered and were not started.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from socket import gethostname
from typing import Any, TextIO

import gevent
import locust
import psutil
from locust.env import Environment
from locust.runners import STATE_MISSING

from decision.quantities import parse_address
from loadtests.merge_windows import merge_entries
from loadtests.schedule import arrivals
from loadtests.settings import WRONG_LOCUSTFILE, Settings, locustfile_digest, settings_text
from loadtests.worker import BEGIN, DONE, DRAIN, HELLO, OVER, PREPARE, READY, REFUSED, WINDOW
from loadtests.write_windows import append_window

_ENDS_WITHIN_S = 5.0
_POLL_S = 0.05


@dataclass
class _Worker:
    """A worker that has joined; ``windows`` holds those not merged yet, by their sequence."""

    node_id: str
    index: int
    host: str
    pid: int
    ready: bool = False
    done: bool = False
    lost: bool = False
    windows: dict[int, dict[str, Any]] = field(default_factory=dict)


def lead(settings: Settings, file: TextIO) -> int:
    """Wait for all workers, let them begin, and write what they report. Exit code as of ``locust_process``."""
    host, port = parse_address(settings.bind)
    environment = Environment(events=locust.events)
    runner = environment.create_master_runner(host, port)
    workers: dict[str, _Worker] = {}
    _listen(runner, settings, workers)
    draining = gevent.event.Event()
    gevent.signal_handler(signal.SIGTERM, draining.set)
    connect_to = "127.0.0.1" if host in ("0.0.0.0", "*") else host
    own = [_start_worker(settings, connect_to, runner.server.port) for _ in range(settings.workers)]
    try:
        return _lead(settings, file, runner, workers, own, draining)
    finally:
        _send_all(runner, workers, OVER)
        _end(own)


def _lead(
    settings: Settings,
    file: TextIO,
    runner: Any,
    workers: dict[str, _Worker],
    own: Sequence["subprocess.Popen[bytes]"],
    draining: Any,
) -> int:
    expected = settings.workers + settings.remote_workers
    if not _until(lambda: len(workers) == expected, settings.joins_within_s, own, draining):
        if any(process.poll() == WRONG_LOCUSTFILE for process in own):
            return WRONG_LOCUSTFILE  # the worker has said why
        return _say(f"{len(workers)} of {expected} workers joined within {settings.joins_within_s:g} s")
    for worker in workers.values():
        data = {"settings": settings_text(settings), "index": worker.index, "of": expected}
        runner.send_message(PREPARE, data, client_id=worker.node_id)
    if not _until(lambda: all(w.ready for w in workers.values()), settings.joins_within_s, own, draining):
        if any(process.poll() == WRONG_LOCUSTFILE for process in own):
            return WRONG_LOCUSTFILE  # the worker has said why
        return _say("not all workers were ready")
    _send_all(runner, workers, BEGIN)
    began_at = time.time()
    merging = _Merging(settings, file, list(workers.values()), began_at)
    while not merging.over():
        if draining.is_set():
            draining.clear()
            _send_all(runner, workers, DRAIN)
        for worker in workers.values():
            if not worker.done and not worker.lost and _is_gone(worker, runner, own):
                worker.lost = True
                _say(f"worker {worker.index} (process {worker.pid} of {worker.host}) was lost")
        merging.write()
        gevent.sleep(_POLL_S)
    return _say("all workers were lost") if all(w.lost for w in workers.values()) else 0


class _Merging:
    """What is written so far."""

    def __init__(self, settings: Settings, file: TextIO, workers: Sequence[_Worker], began_at: float) -> None:
        self._file, self._workers, self._began_at = file, workers, began_at
        self._sequence = 0
        self._to_count = arrivals(seed=settings.seed, shape=settings.shape)
        self._next_to_count: float | None = next(self._to_count, None)

    def over(self) -> bool:
        """Whether nothing more can come."""
        return all(w.done or w.lost for w in self._workers) and not any(w.windows for w in self._workers)

    def write(self) -> None:
        """Write every window that all who still take part have reported."""
        while True:
            waited_for = [w for w in self._workers if not w.lost and not w.done]
            parts = [w.windows for w in self._workers if self._sequence in w.windows]
            if not parts or any(self._sequence not in w.windows for w in waited_for):
                return
            entry = merge_entries([windows.pop(self._sequence) for windows in parts])
            offered = 0
            while self._next_to_count is not None and self._next_to_count < entry["due_until_s"]:
                offered += 1
                self._next_to_count = next(self._to_count, None)
            entry["offered"] = offered
            entry["workers"] = sum(not w.lost for w in self._workers)
            entry["generator_rss_bytes"] += psutil.Process().memory_info().rss
            append_window(self._file, entry, self._began_at)
            self._sequence += 1


def _listen(runner: Any, settings: Settings, workers: dict[str, _Worker]) -> None:
    digest, expected = locustfile_digest(settings.locustfile), settings.workers + settings.remote_workers

    def hello(msg: Any, **_: Any) -> None:
        if msg.data["locustfile"] != digest:
            why = "its locustfile is another one than the master's"
        elif len(workers) == expected:
            why = f"all {expected} workers have joined"
        else:
            workers[msg.node_id] = _Worker(msg.node_id, len(workers), msg.data["host"], msg.data["pid"])
            return
        _say(f"process {msg.data['pid']} of {msg.data['host']} was refused: {why}")
        runner.send_message(REFUSED, {"why": why}, client_id=msg.node_id)

    def ready(msg: Any, **_: Any) -> None:
        workers[msg.node_id].ready = True

    def window(msg: Any, **_: Any) -> None:
        if not workers[msg.node_id].lost:
            entry = json.loads(msg.data["entry"])
            workers[msg.node_id].windows[entry["sequence"]] = entry

    def done(msg: Any, **_: Any) -> None:
        workers[msg.node_id].done = not workers[msg.node_id].lost

    for kind, listener in ((HELLO, hello), (READY, ready), (WINDOW, window), (DONE, done)):
        runner.register_message(kind, listener)


def _until(condition: Any, within_s: float, own: Sequence["subprocess.Popen[bytes]"], draining: Any) -> bool:
    """Wait until the condition holds; False: not in time, a worker of this machine ended, or stopped."""
    until_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until_s or draining.is_set() or any(process.poll() is not None for process in own):
            return False
        gevent.sleep(_POLL_S)
    return True


def _is_gone(worker: _Worker, runner: Any, own: Sequence["subprocess.Popen[bytes]"]) -> bool:
    if worker.host == gethostname() and any(p.pid == worker.pid and p.poll() is not None for p in own):
        return True
    client = runner.clients.get(worker.node_id)
    return client is None or client.state == STATE_MISSING


def _send_all(runner: Any, workers: dict[str, _Worker], kind: str) -> None:
    for worker in workers.values():
        if not worker.lost or kind == OVER:
            runner.send_message(kind, client_id=worker.node_id)


def _start_worker(settings: Settings, host: str, port: int) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "loadtests.locust_process", "worker"]
    return subprocess.Popen([*argv, "--master", f"{host}:{port}", "--locustfile", settings.locustfile])


def _end(own: Sequence["subprocess.Popen[bytes]"]) -> None:
    until_s = time.monotonic() + _ENDS_WITHIN_S
    for process in own:
        try:
            process.wait(max(0.1, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _say(text: str) -> int:
    print(text, file=sys.stderr, flush=True)
    return 1
