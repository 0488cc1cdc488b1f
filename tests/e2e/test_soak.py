"""``gonogo soak`` as a user meets it, on real processes, killed, stopped, and with a ledger that is away."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processes.wait import wait_for
from tests.e2e.small_release import command, environment, gonogo, make_release
from tests.integration.postgresql import Server, find_commands, running_server
from tests.integration.soaking import LOCUSTFILE

SOAK = ("--profile", "short")


@pytest.fixture
def release(tmp_path):
    folder = make_release(tmp_path / "shop")
    (folder / "users.py").write_text(LOCUSTFILE)
    plan = folder / "plan.yaml"
    text = plan.read_text()
    text = text.replace(
        "  quick: {load: 5s, soak: 5s}", "  quick: {load: 5s, soak: 5s}\n  short: {load: 5s, soak: 30s}"
    )
    text = text.replace(
        "claims:\n",
        "  soak: {kind: soak, users: users.py, journey: plain, rate: 20/s, memory_limit: 512MB}\n"
        "claims:\n"
        "  - {id: holds, says: It holds, needs: soak, criteria: {errors: {equals: 0}}, max_age: 24h, gates: [full]}\n",
    )
    plan.write_text(text)
    return folder


@pytest.fixture
def started(release):
    with (release / "soak.out").open("w") as output:
        process = subprocess.Popen(
            command("soak", "start", "plan.yaml", *SOAK), cwd=release, env=environment(release / "user-home"),
            stdout=output, stderr=output,
        )  # fmt: skip
        try:
            wait_for(lambda: loaded(release) > 0, what="the soak under load", timeout_s=60)
            yield process
        finally:
            process.kill()
            process.wait()


def status(release: Path) -> dict:
    return json.loads(gonogo(release, "soak", "status", "plan.yaml", *SOAK, "--json").stdout)


def loaded(release: Path) -> float:
    files = list((release / ".gonogo" / "work").glob("*/samples.jsonl"))
    return len(files[0].read_bytes()) if files else 0


def records(release: Path) -> list[dict]:
    return json.loads(gonogo(release, "evidence", "list", "--kind", "soak", "--json").stdout)


def test_a_killed_soak_is_resumed_and_recorded(release, started):
    assert status(release)["state"] == "running"
    refused = gonogo(release, "soak", "resume", "plan.yaml", *SOAK)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"is held by process {started.pid} since" in refused.stderr
    started.send_signal(signal.SIGKILL)
    started.wait()
    wait_for(lambda: status(release)["state"] == "interrupted", what="the lock freed", timeout_s=20)
    said = gonogo(release, "soak", "status", "plan.yaml", *SOAK)
    assert "its runner was killed" in said.stdout
    assert "after it is resumed" in said.stdout
    again = gonogo(release, "soak", "start", "plan.yaml", *SOAK)
    assert again.returncode == 2
    assert "gonogo soak resume" in again.stderr
    resumed = gonogo(release, "soak", "resume", "plan.yaml", *SOAK)
    assert resumed.returncode == 0, resumed.stderr
    assert "the soak was interrupted (runner killed)" in resumed.stdout
    assert [record["outcome"] for record in records(release)] == ["passed"]
    assert gonogo(release, "verify", "--ledger", "--replay").returncode == 0
    assert status(release)["state"] == "recorded"
    fresh = gonogo(release, "soak", "start", "plan.yaml", *SOAK)
    assert fresh.returncode == 2
    assert "a finished soak is fresh" in fresh.stderr
    assert gonogo(release, "soak", "resume", "plan.yaml", *SOAK).returncode == 2


@pytest.mark.parametrize(
    ("sent", "why"),
    [(signal.SIGINT, "stopped by a person"), (signal.SIGTERM, "the runner was told to end (SIGTERM)")],
)
def test_an_interrupted_soak_says_how_to_go_on(release, started, sent, why):
    started.send_signal(sent)
    assert started.wait(60) == 130
    said = (release / "soak.out").read_text()
    assert "go on with: gonogo soak resume plan.yaml --profile short" in said
    assert "Traceback" not in said
    shown = status(release)
    assert shown["state"] == "interrupted"
    assert shown["why"].startswith(why)


def test_a_soak_that_is_stopped_for_good_is_recorded_with_its_true_length(release, started):
    ran = gonogo(release, "soak", "stop", "plan.yaml", *SOAK)
    assert ran.returncode == 0, ran.stderr
    assert "interrupted" in ran.stdout
    assert started.wait(30) == 130
    ended = gonogo(release, "soak", "stop", "plan.yaml", *SOAK, "--record")
    assert ended.returncode == 30, ended.stderr
    assert "inconclusive: " in ended.stdout
    result = status(release)["result"]
    assert result["ended"] == "stopped"
    assert 0 < result["hours_under_load"] * 3600 < 30
    # What is too short for the profile is no reason not to soak again.
    shown = json.loads(gonogo(release, "plan", "show", "plan.yaml", *SOAK, "--json").stdout)
    assert "soak" in {item["collector"] for item in shown["would_run"]}


@pytest.fixture
def postgresql():
    commands = find_commands()
    if commands is None:
        pytest.skip("PostgreSQL is not installed on this machine")
    with running_server(commands) as server:
        yield server


def test_a_finished_soak_waits_for_its_ledger(release, postgresql: Server):
    url = postgresql.new_database()

    def soak(verb: str, database: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command("soak", verb, "plan.yaml", "--profile", "quick"), cwd=release, capture_output=True, text=True,
            env=environment(release / "user-home") | {"GONOGO_DATABASE_URL": database}, timeout=200, check=False,
        )  # fmt: skip

    postgresql.stop()
    ran = soak("start", url)
    assert ran.returncode == 70, ran.stderr
    assert "finished and not recorded" in ran.stderr
    assert "starts without the ledger" in ran.stderr
    assert "Traceback" not in ran.stderr
    told = soak("status", url)
    assert "finished, not recorded" in told.stdout
    postgresql.start()
    back = soak("resume", url)
    assert back.returncode == 0, back.stderr
    assert "recorded" in back.stdout
    assert soak("resume", url).returncode == 2


def test_what_is_left_running_after_a_soak_is_nothing(release, started):
    started.send_signal(signal.SIGKILL)
    started.wait()

    def left() -> list[str]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if str((entry / "cwd").readlink()).startswith(str(release)):
                        found.append((entry / "cmdline").read_bytes().decode())
                except OSError:
                    continue
        return found

    wait_for(lambda: not left(), what="nothing left running", timeout_s=60)


def test_a_server_that_its_start_command_leaves_behind_is_not_soaked(release):
    plan = release / "plan.yaml"
    text = plan.read_text()
    start = text.split("candidate: {start: ", 1)[1].split(", ready:", 1)[0]
    wrapped = "'sh -c \"setsid -f " + start.strip("'\"").replace("python ", f"{sys.executable} ") + "; sleep 600\"'"
    plan.write_text(text.replace(f"candidate: {{start: {start}", f"candidate: {{start: {wrapped}"))
    ran = gonogo(release, "soak", "start", "plan.yaml", *SOAK)
    server = int(re.search(r"that is process (\d+)", ran.stderr)[1])
    os.kill(server, signal.SIGKILL)
    assert ran.returncode == 2
    assert "target candidate: neither the process that was started" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_two_short_nights_add_up_to_one_result(release):
    plan = release / "plan.yaml"
    plan.write_text(plan.read_text().replace("memory_limit: 512MB}", "memory_limit: 512MB, nights_add_up: true}"))
    for options in ((), ("--again",)):
        ran = gonogo(release, "soak", "start", "plan.yaml", "--profile", "quick", *options)
        assert ran.returncode == 0, ran.stderr
    assert "in 2 nights" in ran.stdout
    first, _ = sorted(records(release), key=lambda record: record["sequence"])
    result = json.loads(gonogo(release, "soak", "status", "plan.yaml", "--profile", "quick", "--json").stdout)["result"]
    assert [night["record_id"] for night in result["nights"]] == [first["record_id"], None]
    assert result["hours_under_load"] * 3600 >= 10
    assert result["gaps"] == []
    replay = gonogo(release, "verify", "--ledger", "--replay")
    assert replay.returncode == 0, replay.stderr
    assert "2 soak" in replay.stdout
