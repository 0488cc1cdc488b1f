"""The bundled release from plan to report, with real Locust, HAProxy, Prometheus and Prefect.

The verdict depends on the machine as well as on the code, for latencies are part of it. What must hold on any machine:
every collector leaves signed evidence, the decision follows from it, and nothing is left running.
"""

import json
import os
import subprocess
from pathlib import Path

import psutil
import pytest

from decision.collect import is_measured_here
from decision.plan_file import read_plan
from tests.e2e.small_release import ROOT, command

PLAN = "releases/ion-phase4/plan.yaml"
EXIT_CODES = {"GO": 0, "NO-GO": 20, "HOLD": 30}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return home, gonogo(home, "authorize", PLAN, "--level", "rehearsal")


def gonogo(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "ION_"))}
    return subprocess.run(
        [*command(*arguments), "--home", str(home)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def test_the_decision_follows_from_the_claims(run):
    home, ran = run
    assert ran.returncode in EXIT_CODES.values(), ran.stderr
    report = json.loads((home / "reports" / "ion-phase4" / "report.json").read_text())
    again = gonogo(home, "report", PLAN, "--level", "rehearsal")
    assert again.returncode == ran.returncode
    assert report
    if ran.returncode == 0:
        assert "DO NOT PROCEED" not in ran.stdout
        assert "72 h under load" in ran.stdout


def test_every_collector_left_evidence_that_is_not_errored(run):
    home, ran = run
    listed = json.loads(gonogo(home, "evidence", "list", "--json").stdout)
    outcomes = {entry["collector"]: entry["outcome"] for entry in listed if entry["kind"] != "decision"}
    shown = json.loads(gonogo(home, "plan", "show", PLAN, "--json").stdout)
    plan = read_plan(ROOT / PLAN).plan
    assert set(outcomes) == {c.needs for c in plan.claims if is_measured_here(plan.collect[c.needs])}, ran.stderr
    assert {item["collector"] for item in shown["by_the_rollout"]} == {
        "canary-in-production", "ab-in-production", "ab-outcomes",
    }  # fmt: skip
    assert "errored" not in outcomes.values()
    assert "INVALID" not in outcomes.values()
    # What does not depend on how fast the machine is must have passed.
    for collector in (
        "foundation-tests",
        "api-tests",
        "contract",
        "interactions",
        "conversations",
        "ab-records",
        "accuracy",
    ):
        assert outcomes[collector] == "passed", ran.stderr
    assert {item["collector"] for item in shown["would_run"]} <= {"load", "soak", "rehearsal"}


def test_the_ledger_is_intact(run):
    assert gonogo(run[0], "verify", "--ledger").returncode == 0


def test_all_but_monitoring_and_the_decision_is_computed_again_the_same(run):
    verified = json.loads(gonogo(run[0], "verify", "--ledger", "--replay", "--json").stdout)
    assert verified["problem"] is None
    assert {missing["kind"] for missing in verified["not_replayed_kinds"]} == {"monitoring", "decision"}


def test_full_deployment_is_never_authorized_by_a_rehearsal(run):
    ran = gonogo(run[0], "report", PLAN, "--level", "full")
    assert ran.returncode in (20, 30)
    assert "Lubit (approver)" in ran.stdout


def test_nothing_is_left_running(run):
    left = [p for p in psutil.process_iter(["cmdline"]) if str(run[0]) in " ".join(p.info["cmdline"] or ())]
    assert left == []
