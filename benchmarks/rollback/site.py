"""A site: a release with both of its versions, an HAProxy and users, on which rollouts follow each other."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from evidence.results import RolloutResult
from flows.staged_rollout import Staged, current_rollout
from processes.errors import ProcessError
from processes.ports import free_port
from processes.supervised import supervised, wait_until_ready
from rollouts.request_log import RequestLog

_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
RATE_PER_S = 100
USERS = 20_000
STABLE_FAILS, CANDIDATE_FAILS = 0.01, 0.06
LIMIT, LIMIT_REQUESTS = 0.05, 100
TICKS_S = 180

OBJECTIVES = f"""\
slo:
  error-rate: {{unit: ratio, promote_at_most: 2%, roll_back_above: 3%, for: 3 windows,
               roll_back_at_once_above: {LIMIT}, at_least_requests: {LIMIT_REQUESTS}, worse_than_stable_by: 0.5pp}}
  latency-p95: {{unit: ms, promote_at_most: 200, roll_back_above: 500, for: 3 windows, worse_than_stable_by: 10%}}
  availability: {{unit: ratio, roll_back_below: 99%}}
  consecutive-failures: {{unit: count, roll_back_above: 9}}
"""
_PLAN = """\
version: 1
release: NAME
title: A shop
subject: {name: shop, version: "2.0", source: service}
people: {operator: {name: Grace}}
targets:
  stable: {start: "./shop --port {port}", ready: /}
  candidate: {start: "./shop --port {port}", ready: /}
SLOprofiles: {quick: {load: 5s, soak: 5s}}
collect: {documents: {kind: documentation, documents: [{path: README.md, sections: [Usage]}]}}
claims:
  - {id: written, says: It is written down, needs: documents, criteria: {complete: {at_least: 1}},
     max_age: 7d, gates: [rehearsal, canary, ab-test, full]}
summary: [{says: All of it, claims: [written]}]
risks: []
approvals: {}
rollout:
  stages:
    - {name: first, share: SHARE, requests: 1000, salt: a}
    - {name: second, share: 75%, requests: 1000, salt: b}
    - {name: full, share: 100%}
  router: {kind: haproxy, listen: "127.0.0.1:LISTEN", stable: "http://127.0.0.1:STABLE",
           candidate: "http://127.0.0.1:CANDIDATE", control: run/control.sock, request_log: run/requests.log,
           lease: 30s}
schedule: {authorize: "2026-01-10T12:00Z", deploy: "2026-01-12T12:00Z"}
"""


@dataclass(frozen=True)
class Kind:
    """What kind of rollout: the share of its first stage, and whether its plan has objectives."""

    share: float
    objectives: bool

    @property
    def name(self) -> str:
        return f"shop-{self.share:.0%}".replace("%", "") + ("-objectives" if self.objectives else "")


KINDS = tuple(Kind(share, objectives) for objectives in (True, False) for share in (0.05, 0.5))


@dataclass(frozen=True)
class Taken:
    """One rollout that was taken back: seconds from the first canary request until then, and from the decision."""

    decided_s: float
    gone_s: float
    decision_to_gone_s: float
    result: RolloutResult
    first_at_s: float


@dataclass(frozen=True)
class Site:
    """A folder with plans, where everything runs."""

    folder: Path

    def roll_out(self, kind: Kind) -> Taken | None:
        """One rollout, from its start until its evidence is signed; None when it was not taken back in time."""
        plan = self.folder / f"{kind.name}.yaml"
        _gonogo(self.folder, "rollout", "start", plan.name, expected=(0,))
        _gonogo(
            self.folder, "rollout", "tick", plan.name, "--for", f"{TICKS_S}s", "--every", "1s", expected=(0, 20, 30)
        )
        with current_rollout(plan, self.folder / ".gonogo") as staged:
            taken = _taken(staged, RequestLog(self.folder / "run" / "requests.log"))
        if taken is None:
            _gonogo(self.folder, "rollout", "abort", plan.name, "--reason", "not found", expected=(20,))
        return taken


def _taken(staged: Staged, log: RequestLog) -> Taken | None:
    entries = staged.rollout.journal.entries()
    back = next((entry for entry in entries if entry.action == "roll-back"), None)
    if back is None:
        return None
    (result,) = (
        r.result
        for r in staged.store.records(staged.started.subject.digest)[0]
        if r.parameters.get("rollout_id") == staged.rollout_id
    )
    assert isinstance(result, RolloutResult)
    began_s, decided_s = entries[0].at.timestamp(), back.at.timestamp()
    seen = [request.at_s for request in log.since(0)[0] if request.backend == "canary" and request.at_s > began_s]
    first_s, last_s = min(seen), max(seen)
    return Taken(decided_s - first_s, last_s - first_s, last_s - decided_s, result, first_s)


@contextmanager
def site(folder: Path, authorized: Path, seed: int) -> Iterator[Site]:
    """A site with a copy of an ``authorized`` release; everything ends with the block."""
    shutil.copytree(authorized, folder)
    ports = {name: free_port() for name in ("LISTEN", "STABLE", "CANDIDATE")}
    write_plans(folder, ports)
    with ExitStack() as stack:
        for number, (name, rate) in enumerate((("STABLE", STABLE_FAILS), ("CANDIDATE", CANDIDATE_FAILS))):
            server = _module("benchmarks.rollback.server", ports[name], rate, 10 * seed + number)
            stack.enter_context(supervised(name.lower(), server, log=folder / f"{name}.log", env=_ENVIRONMENT))
        argv = _module("cli.main", "rollout", "router", f"{KINDS[0].name}.yaml")
        router = stack.enter_context(
            supervised("router", argv, log=folder / "router.log", env=_ENVIRONMENT, cwd=folder)
        )
        wait_until_ready(router, f"http://127.0.0.1:{ports['LISTEN']}/.gonogo/ready", timeout_s=60)
        users = _module("benchmarks.rollback.users", ports["LISTEN"], RATE_PER_S, USERS, seed, 24 * 3600)
        stack.enter_context(supervised("users", users, log=folder / "users.log", env=_ENVIRONMENT))
        yield Site(folder)


def authorized_release(folder: Path) -> Path:
    """Write the release and collect the evidence that all of its plans need; returns the folder."""
    (folder / "service").mkdir(parents=True)
    (folder / "service" / "index.html").write_text("<p>shop</p>\n")
    (folder / "README.md").write_text("# Shop\n\n## Usage\n\nOpen it.\n")
    write_plans(folder, {"LISTEN": 1, "STABLE": 2, "CANDIDATE": 3})
    _gonogo(folder, "authorize", f"{KINDS[0].name}.yaml", "--level", "full", expected=(0,))
    return folder


def write_plans(folder: Path, ports: dict[str, int]) -> None:
    """One plan for each kind of rollout; they have one subject, and so one evidence."""
    for kind in KINDS:
        plan = _PLAN.replace("NAME", kind.name).replace("SHARE", str(kind.share))
        plan = plan.replace("SLO", OBJECTIVES if kind.objectives else "slo: {}\n")
        for name, port in ports.items():
            plan = plan.replace(f":{name}", f":{port}")
        (folder / f"{kind.name}.yaml").write_text(plan)


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", name, *map(str, arguments)]


def _gonogo(folder: Path, *arguments: str, expected: Sequence[int]) -> None:
    ran = subprocess.run(
        _module("cli.main", *arguments),
        cwd=folder, env=_ENVIRONMENT, capture_output=True, text=True, timeout=TICKS_S + 120, check=False,
    )  # fmt: skip
    if ran.returncode not in expected:
        raise ProcessError(f"gonogo {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
