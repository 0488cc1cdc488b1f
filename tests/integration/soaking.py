"""A small service and load for soaks of seconds, and a runner of its own process that can be killed."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil

from loadtests.soak_folder import LOCK, read_journal, read_material
from loadtests.soak_journal import Entry
from loadtests.soak_result import Soaking, measurement_of
from loadtests.soak_run import Soak
from processes.lines import complete_lines
from processes.lock import holder_of
from processes.ports import free_port
from processes.resources import read_tree
from processes.supervised import supervised, wait_until_ready
from processes.target import Target
from processes.wait import wait_for

ROOT = Path(__file__).resolve().parents[2]

LOCUSTFILE = """
from loadtests.arrivals import ArrivalUser
from loadtests.journey import Call

def plain(random):
    yield Call("GET", "/", "plain", "u")

class Some(ArrivalUser):
    journeys = {"plain": plain}
"""

SERVICE = """
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    requests = 0

    def do_GET(self):
        Handler.requests += 1
        if sys.argv[2] == "0" and Handler.requests > 20:
            os._exit(1)
        self.send_response(int(sys.argv[2]) or 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        print(self.path, flush=True)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

RANDOM_LOCUSTFILE = LOCUSTFILE.replace('"/"', 'f"/item/{random.getrandbits(64)}"')

PLAIN_LOCUSTFILE = """
from locust import HttpUser, task

class Some(HttpUser):
    @task
    def page(self):
        self.client.get("/")
"""

DIES = 0
"""In place of a status: the service ends by itself after some requests."""


def make_folder(tmp_path: Path) -> Path:
    """The folder of a soak that has not begun."""
    folder = tmp_path / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "some.py").write_text(LOCUSTFILE)
    (tmp_path / "service.py").write_text(SERVICE)
    return folder


def soak_of(folder: Path, *, seconds: float = 8, segment_s: float = 30, status: int = 200, slo=None, control=None,
            tell=lambda _done, text: print(text, flush=True), read=None, journey="plain",
            workers=1) -> Soak:  # fmt: skip
    """A soak of the small service."""

    @contextmanager
    def start(name):
        port, log = free_port(), folder.parent / f"{name}.out"
        argv = [sys.executable, str(folder.parent / "service.py"), str(port), str(status)]
        with supervised(name, argv, log=log) as process:
            if status in (200, DIES):
                wait_until_ready(process, f"http://127.0.0.1:{port}/", timeout_s=30)
            yield Target(name, f"http://127.0.0.1:{port}", pid=process.pid, log=log)

    return Soak(
        soaking=Soaking("candidate", control, seconds / 3600, 512e6, 0.05, 0.95),
        locustfile=folder.parent / "some.py",
        journey=journey,
        rate_per_s=20,
        segment_s=segment_s,
        seed=1,
        slo=slo or {},
        start=start,
        read=read or (lambda target: read_tree(target.pid)),
        check=lambda: None,
        folder=folder,
        tell=tell,
        workers=workers,
    )


def measured(soak: Soak):
    """What the folder holds as a measurement."""
    return measurement_of(read_material(soak.folder), soak.soaking, soak.slo)


def events(folder: Path, event: str) -> list[Entry]:
    """The entries of one event so far."""
    return [entry for entry in read_journal(folder) if entry.event == event]


def samples(folder: Path) -> int:
    """How many samples there are."""
    return complete_lines(folder / "samples.jsonl").count(b"\n")


RUNNER = """
import sys
from pathlib import Path
from loadtests.soak import run_soak
from processes.lock import holding
from tests.integration.soaking import soak_of
folder = Path(sys.argv[1])
with holding(folder / "lock", "the soak"):
    run_soak(soak_of(folder, **eval(sys.argv[2])))
"""


@contextmanager
def runner(folder: Path, **options):
    """A soak in a process of its own, killed at the end of the block if it still runs."""
    with (folder.parent / "runner.out").open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(folder), repr(options)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for_samples(folder: Path, count: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the soak has taken so many samples: it is well under load then."""

    def taken() -> bool:
        assert process.poll() is None, (folder.parent / "runner.out").read_text()
        return samples(folder) >= count

    wait_for(taken, what="the soak under load", timeout_s=60)


def generator_pid(folder: Path) -> int:
    """The process that generates the load now."""
    (pid,) = generator_pids(folder)
    return pid


def generator_pids(folder: Path) -> list[int]:
    """Master and workers of the load now, the oldest first."""
    found = []
    for process in psutil.process_iter():
        try:
            words, where = process.cmdline(), Path(process.cwd())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if where == folder and "guard.py" not in " ".join(words):  # nothing else works in the folder itself
            found.append(process.pid)
    return found


def environment_of(pid: int) -> str:
    """The environment of a process, as text."""
    return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")


def target_pid(folder: Path, role: str = "target") -> int:
    """The process that is soaked now."""
    return int([e for e in events(folder, "target-started") if e.detail["role"] == role][-1].detail["pid"])


def kill(pid: int) -> None:
    """As the kernel does when memory runs out."""
    os.kill(pid, signal.SIGKILL)


def nobody_runs(folder: Path) -> bool:
    """Whether the lock is free."""
    return holder_of(folder / LOCK) is None


def lines(path: Path) -> list[dict]:
    """The JSON lines of a file."""
    return [json.loads(line) for line in complete_lines(path).splitlines()]
