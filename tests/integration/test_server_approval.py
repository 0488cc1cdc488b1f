"""Authorizations, nights and rollouts on a Prefect server: a real server, a real worker, what prefect.yaml deploys."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from evidence.allowed_signers import line_of
from evidence.keys import load_or_create_key, public_text
from processes.ports import free_port
from processes.supervised import Supervised, start, supervised, wait_until_ready
from processes.wait import wait_for
from tests.e2e.small_release import ROOT, environment, gonogo, make_release
from tests.e2e.test_rollout import Site

_PATIENCE_S = 180


@dataclass
class Prefect:
    """A server on one database and one port, which can be killed and started again."""

    folder: Path
    port: int
    process: Supervised | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def env(self) -> dict[str, str]:
        return environment(self.folder / "user-home") | {
            "PREFECT_API_URL": self.url,
            "PREFECT_HOME": str(self.folder),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
            "DO_NOT_TRACK": "1",
            "PWD": str(ROOT),
        }

    def start(self) -> None:
        argv = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        argv += ["--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"]
        self.process = start("the Prefect server", argv, log=self.folder / "server.log", env=self.env, grace_s=3)
        wait_until_ready(self.process, f"{self.url}/health", timeout_s=_PATIENCE_S)

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def command(self, *arguments: str) -> None:
        argv = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        ran = subprocess.run(argv, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.ask("POST", path, json=body)

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """Ask until the answer is not 503, which Prefect gives for errors that its clients are to retry on."""
        answers: list[httpx.Response] = []

        def answered() -> bool:
            answers.append(httpx.request(method, f"{self.url}{path}", timeout=30, trust_env=False, **more))
            return answers[-1].status_code != 503

        wait_for(answered, what=f"{method} {path}", timeout_s=60, interval_s=0.5)
        return answers[-1].raise_for_status().json()

    def pause(self, deployment: str) -> None:
        found = self.get(f"/deployments/name/{deployment}")
        httpx.post(f"{self.url}/deployments/{found['id']}/pause_deployment", trust_env=False).raise_for_status()

    def trigger(self, release: Path, level: str = "full", *, deployment: str = "authorize", **more: str) -> str:
        found = self.get(f"/deployments/name/{deployment}/{deployment}")
        parameters = {"plan": str(release / "plan.yaml"), "level": level, "home": str(release / ".gonogo"), **more}
        return str(self.post(f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"])

    def state(self, run: str) -> dict[str, Any]:
        state: dict[str, Any] = self.get(f"/flow_runs/{run}")["state"]
        return state

    def wait_for_state(self, run: str, *names: str) -> dict[str, Any]:
        """The state when it is one of ``names``; it fails when the run ends in another."""

        def reached() -> bool:
            state = self.state(run)
            ended = state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
            assert not ended or state["name"] in names, (state, self.logs(run))
            return state["name"] in names

        wait_for(reached, what=f"run {' or '.join(names)}", timeout_s=_PATIENCE_S, interval_s=0.5)
        return self.state(run)

    def wait_for_suspension(self, run: str, number: int) -> dict[str, Any]:
        """The state of a run that is suspended for the n-th time and can be resumed: its form is there."""
        form = f"{self.url}/flow_runs/{run}/input/suspended-{number}-description"

        def asks() -> bool:
            self.wait_for_state(run, "Suspended", "Running", "Pending", "Resuming", "Scheduled")
            return httpx.get(form, timeout=30, trust_env=False).status_code == 200

        wait_for(asks, what=f"suspension {number} of the run", timeout_s=_PATIENCE_S, interval_s=0.5)
        return self.wait_for_state(run, "Suspended")

    def resume(self, run: str, run_input: dict[str, Any]) -> str:
        return str(self.post(f"/flow_runs/{run}/resume", {"run_input": run_input})["status"])

    def artifacts(self, run: str) -> dict[str, Any]:
        """The newest data of each key."""
        found = self.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {a["key"]: a["data"] for a in sorted(found, key=lambda a: a["created"])}

    def description(self, run: str, number: int) -> str:
        """What the form says into which the n-th input is put."""
        return str(self.get(f"/flow_runs/{run}/input/suspended-{number}-description"))

    def logs(self, run: str) -> str:
        found = self.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"})
        return "\n".join(line["message"] for line in found)


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    server = Prefect(tmp_path_factory.mktemp("prefect"), free_port())
    with ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        server.command("work-pool", "create", "gonogo", "--type", "process")
        server.command("deploy", "--all")
        server.pause("nightly/nightly")  # or the night of the real release begins when the clock says so
        argv = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "gonogo"]
        env = server.env | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
        worker = supervised("the worker", argv, log=server.folder / "worker.log", env=env, cwd=server.folder, grace_s=3)
        stack.enter_context(worker)
        yield server


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory, prefect: Prefect) -> tuple[Path, str]:
    """A release that a run measured, and that run, which waits for Ada's signature."""
    folder = make_release(tmp_path_factory.mktemp("release") / "shop")
    ada = load_or_create_key(folder / "ada")
    (folder / "ada.allowed").write_text(line_of(["ada"], public_text(ada.public_key())))
    run = prefect.trigger(folder)
    prefect.wait_for_suspension(run, 1)
    return folder, run


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, waiting: tuple[Path, str]) -> Path:
    """The same release with the same evidence, and nothing that was signed later."""
    return Path(shutil.copytree(waiting[0], tmp_path_factory.mktemp("measured") / "shop"))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, prefect: Prefect, waiting: tuple[Path, str]) -> dict[str, str]:
    """What Ada prints, with the request that the run published, where there is no ledger."""
    folder = Path(
        shutil.copytree(waiting[0], tmp_path_factory.mktemp("ada") / "shop", ignore=shutil.ignore_patterns(".gonogo"))
    )
    markdown = prefect.artifacts(waiting[1])["request-shop-2"]
    found = re.search(r"request-full\.json:\n\n```\n(.*)\n```", markdown)
    assert found is not None, markdown
    (folder / "request-full.json").write_text(found[1])
    root = json.loads(found[1])["digest"]
    signing = ["--level", "full", "--role", "approver", "--key", "ada", "--root", root]
    return {
        word: gonogo(folder, "approve", "plan.yaml", *signing, "--request", "request-full.json", *more).stdout
        for word, more in (("approve", ()), ("refuse", ("--refuse", "--reason", "the runbook was not tried")))
    }


@pytest.mark.usefixtures("measured")  # before this run goes on
def test_an_authorization_waits_for_its_signature_across_a_killed_server(
    prefect: Prefect, waiting: tuple[Path, str], signed: dict[str, str]
) -> None:
    release, run = waiting
    state = prefect.state(run)
    artifacts = prefect.artifacts(run)
    assert "HOLD FOR FULL" in artifacts["report-shop-2"]
    assert "Signature of Ada (approver) for level full" in str(artifacts["missing-shop-2"])
    assert "- Ada (approver) for level full" in prefect.description(run, 1)
    # It waits as long as the first of its evidence counts: 24 hours in this plan.
    left = datetime.fromisoformat(state["state_details"]["pause_timeout"]) - datetime.fromisoformat(state["timestamp"])
    assert timedelta(hours=23) < left < timedelta(hours=24)

    prefect.kill()
    prefect.start()
    assert prefect.state(run)["id"] == state["id"]

    assert prefect.resume(run, {"approved": True}) == "REJECT"
    assert prefect.state(run)["id"] == state["id"]

    assert prefect.resume(run, {"envelope": "I approve"}) == "ACCEPT"
    prefect.wait_for_suspension(run, 2)
    assert "this is nothing that a person signed: it is no valid JSON" in prefect.description(run, 2)
    assert "The newest input was not accepted" in prefect.artifacts(run)["request-shop-2"]

    assert prefect.resume(run, {"envelope": signed["approve"]}) == "ACCEPT"
    assert prefect.wait_for_state(run, "Completed")["message"] == "GO at level full"
    assert "GO FOR FULL" in prefect.artifacts(run)["report-shop-2"]

    listed = json.loads(gonogo(release, "evidence", "list", "--json").stdout)
    assert [record["summary"] for record in listed if record["kind"] == "approval"] == ["Ada approves level full"]
    assert [record["kind"] for record in listed].count("test-suite") == 1  # by the first of the run's three processes
    assert gonogo(release, "report", "plan.yaml", "--level", "full").returncode == 0
    assert gonogo(release, "verify", "--ledger").returncode == 0
    (release / "approval.json").write_text(signed["approve"])
    again = gonogo(release, "accept", "plan.yaml", "approval.json")
    assert again.returncode == 0
    assert again.stdout.startswith("already in the ledger: Ada approves level full")


def test_a_resumed_run_waits_its_turn_and_a_refusal_ends_it_as_no_go(
    prefect: Prefect, measured: Path, signed: dict[str, str], tmp_path: Path
) -> None:
    run = prefect.trigger(measured)
    prefect.wait_for_suspension(run, 1)
    slow, go_on = make_release(tmp_path / "slow"), tmp_path / "go-on"
    (slow / "checks" / "test_shop.py").write_text(
        f"import pathlib, time\n\ndef test_shop():\n    while not pathlib.Path({str(go_on)!r}).exists():\n"
        "        time.sleep(0.1)\n"
    )
    other = prefect.trigger(slow, level="rehearsal")
    prefect.wait_for_state(other, "Running")
    assert prefect.resume(run, {"envelope": signed["refuse"]}) == "ACCEPT"
    prefect.wait_for_state(run, "AwaitingConcurrencySlot")
    go_on.touch()
    assert prefect.wait_for_state(other, "Completed")["message"] == "GO at level rehearsal"
    state = prefect.wait_for_state(run, "NO-GO")
    assert state["type"] == "FAILED"
    assert gonogo(measured, "report", "plan.yaml", "--level", "full").returncode == 20


def test_a_night_measures_again_what_is_fresh_and_fails_where_something_went_bad(
    prefect: Prefect, tmp_path: Path
) -> None:
    release = make_release(tmp_path / "shop")
    deployment = prefect.get("/deployments/name/nightly/nightly")
    assert [(s["schedule"]["cron"], s["schedule"]["timezone"]) for s in deployment["schedules"]] == [
        ("0 21 * * *", "UTC")
    ]
    for _ in range(2):
        run = prefect.trigger(release, deployment="nightly", profile="quick")
        # Ada did not sign, and the contract is for the day: what is open does not make the night a bad one.
        assert prefect.wait_for_state(run, "Completed")["message"] == "HOLD at level full"
    assert "TRENDS ACROSS RELEASES" in prefect.artifacts(run)["report-shop-2"]
    listed = json.loads(gonogo(release, "evidence", "list", "--json").stdout)
    assert [record["kind"] for record in listed] == ["test-suite", "decision"] * 2

    (release / "checks" / "test_shop.py").write_text("def test_shop():\n    assert False\n")
    bad = prefect.trigger(release, deployment="nightly", profile="quick")
    assert prefect.wait_for_state(bad, "NO-GO")["type"] == "FAILED"


def test_runs_on_the_server_advance_a_rollout_and_end_as_rolled_back(prefect: Prefect, tmp_path: Path) -> None:
    deployment = prefect.get("/deployments/name/rollout-tick/rollout-tick")
    assert [(s["schedule"]["interval"], s["active"]) for s in deployment["schedules"]] == [(60.0, False)]
    with ExitStack() as stack:
        shop = Site(stack, tmp_path / "shop", "embedded", error_rate=0.06)
        assert gonogo(shop.folder, "rollout", "start", "plan.yaml").returncode == 0
        where = {"plan": str(shop.folder / "plan.yaml"), "home": str(shop.folder / ".gonogo")}

        def run(keep_on_s: float) -> dict[str, Any]:
            body = {"parameters": {**where, "keep_on_s": keep_on_s}}
            made = prefect.post(f"/deployments/{deployment['id']}/create_flow_run", body)
            return prefect.wait_for_state(str(made["id"]), "Completed", "Rolled back")

        first = run(0)
        assert (first["name"], first["message"]) == ("Completed", "stage canary has begun")
        ended = next(state for state in (run(20) for _ in range(5)) if state["name"] != "Completed")
        assert ended["type"] == "FAILED"
        assert "error-rate" in ended["message"]
        shop.tick("--for", "25s")  # until the evidence is signed, where the last run did not wait for it
        status = shop.status()
        assert (status["outcome"], status["share"], status["recorded"]) == ("rolled-back", 0.0, True)
