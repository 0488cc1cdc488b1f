"""The command line as a user meets it: real Prefect, real processes, a real ledger."""

import json
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import psutil
import pytest

from processes.wait import wait_for
from tests.e2e.small_release import command, environment, gonogo, make_release

AUTHORIZE = ("authorize", "plan.yaml", "--level", "rehearsal")


@pytest.fixture(scope="module")
def authorized(tmp_path_factory):
    """A release that was authorized once; tests that change something copy it."""
    folder = make_release(tmp_path_factory.mktemp("release") / "shop")
    return folder, gonogo(folder, *AUTHORIZE)


@pytest.fixture
def release(authorized, tmp_path):
    return Path(shutil.copytree(authorized[0], tmp_path / "shop"))


def test_a_release_that_shows_all_that_is_asked_is_a_go(authorized):
    folder, ran = authorized
    assert ran.returncode == 0, ran.stderr
    assert "GO FOR REHEARSAL" in ran.stdout
    assert "Ada (approver) for level full" in ran.stdout
    reports = folder / ".gonogo" / "reports" / "shop-2"
    assert {file.name for file in reports.iterdir()} == {"report.txt", "report.html", "report.json"}
    assert json.loads((reports / "report.json").read_text())


def test_progress_goes_to_stderr_as_plain_lines_without_the_noise_of_libraries(authorized):
    _, ran = authorized
    lines = ran.stderr.splitlines()
    assert all(line.startswith("[") for line in lines), ran.stderr
    assert any("tests: passed: 1 of 1 tests passed" in line for line in lines)


def test_fresh_evidence_is_reused_without_starting_anything(release):
    ran = gonogo(release, *AUTHORIZE)
    assert ran.returncode == 0
    assert ran.stderr.count("reused") == 3
    assert "prefect" not in ran.stderr


def test_a_level_that_needs_a_signature_is_a_hold_that_names_the_person(release):
    ran = gonogo(release, "authorize", "plan.yaml", "--level", "full")
    assert ran.returncode == 30
    assert "Signature of Ada (approver)" in ran.stdout


def test_a_failing_test_is_a_no_go_that_names_the_claim_and_its_evidence(release):
    (release / "checks" / "test_shop.py").write_text("def test_shop():\n    assert False\n")
    ran = gonogo(release, *AUTHORIZE)
    assert ran.returncode == 20
    assert "REFUTED It works" in ran.stdout
    assert "failed is 1" in ran.stdout
    listed = json.loads(gonogo(release, "evidence", "list", "--kind", "test-suite", "--json").stdout)
    assert listed[-1]["outcome"] == "failed"
    assert listed[-1]["record_id"][:12] in ran.stdout


def test_another_subject_makes_all_evidence_void(release):
    (release / "service" / "index.html").write_text("<p>changed</p>\n")
    shown = json.loads(gonogo(release, "plan", "show", "plan.yaml", "--json").stdout)
    assert {item["collector"] for item in shown["would_run"]} == {"tests", "documents", "contract"}
    assert gonogo(release, "report", "plan.yaml", "--level", "rehearsal").returncode == 30


def test_the_report_can_be_rendered_again_in_every_form(release):
    for form, begins in (("text", "====="), ("html", "<!doctype html>"), ("json", "{")):
        ran = gonogo(release, "report", "plan.yaml", "--level", "rehearsal", "--format", form)
        assert ran.returncode == 0
        assert ran.stdout.lower().startswith(begins)


def test_an_untouched_ledger_is_intact(release):
    ran = gonogo(release, "verify", "--ledger", "--json")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["records"] == 4


def test_a_ledger_that_is_gone_is_not_intact(release):
    (release / ".gonogo" / "ledger.sqlite").unlink()
    ran = gonogo(release, "verify", "--ledger")
    assert ran.returncode == 2
    assert "the ledger is gone" in ran.stderr
    assert not (release / ".gonogo" / "ledger.sqlite").exists()


def test_a_changed_attachment_is_found(release):
    attachments = [path for path in (release / ".gonogo" / "attachments").rglob("*") if path.is_file()]
    attachment = max(attachments, key=lambda path: path.stat().st_size)
    content = bytearray(attachment.read_bytes())
    content[len(content) // 2] ^= 1
    attachment.chmod(0o644)
    attachment.write_bytes(content)
    ran = gonogo(release, "verify", "--ledger")
    assert ran.returncode == 20
    assert "NOT INTACT" in ran.stdout


def test_a_changed_record_is_found_and_decides_no_go(release):
    with sqlite3.connect(release / ".gonogo" / "ledger.sqlite") as database:
        (table,) = database.execute("select name from sqlite_master where sql like '%envelope%'").fetchone()
        sequence, envelope = database.execute(f"select sequence, envelope from {table} limit 1").fetchone()
        changed = envelope.replace("A", "B", 1) if isinstance(envelope, str) else envelope.replace(b"A", b"B", 1)
        assert changed != envelope
        database.execute(f"update {table} set envelope = ? where sequence = ?", (changed, sequence))
    assert gonogo(release, "verify", "--ledger").returncode == 20
    assert gonogo(release, "report", "plan.yaml", "--level", "rehearsal").returncode == 20


def test_records_are_listed_and_shown(release):
    listed = json.loads(gonogo(release, "evidence", "list", "--json").stdout)
    assert [entry["kind"] for entry in listed].count("decision") == 1
    for entry in listed:
        assert gonogo(release, "evidence", "show", entry["record_id"][:12]).returncode == 0
    assert gonogo(release, "evidence", "show", "no-such").returncode == 2


def test_a_wrong_plan_is_one_line_with_its_place(release):
    plan = release / "plan.yaml"
    plan.write_text(plan.read_text().replace("max_age: 7d", "max_age: soon"))
    ran = gonogo(release, "plan", "check", "plan.yaml")
    assert ran.returncode == 2
    line = 1 + plan.read_text().split("max_age: soon")[0].count("\n")
    assert f"plan.yaml:{line}: claims.1.max_age" in ran.stderr
    assert "duration" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("authorize", "no-such.yaml"),
        ("authorize", "plan.yaml", "--level", "moon"),
        ("authorize", "plan.yaml", "--profile", "no-such"),
        ("authorize", "plan.yaml", "--rerun", "no-such"),
        ("no-such-command",),
        ("analyze", "junit", "plan.yaml"),
        ("analyze", "soak", "no-such.csv", "--time", "t", "--value", "rss"),
        ("analyze", "soak", "plan.yaml", "--time", "t", "--value", "rss"),
        ("analyze", "soak", "plan.yaml", "--time", "t", "--value", "rss", "--limit-per-day", "much"),
        ("verify",),
        ("evidence", "list", "--home", "no-such"),
        ("verify", "--ledger", "--home", "service"),
    ],
)
def test_wrong_usage_is_told_in_a_line_and_exits_2(release, arguments):
    ran = gonogo(release, *arguments)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("gonogo: ")
    assert "Traceback" not in ran.stderr


def test_junit_files_are_recounted(release):
    (release / "results.xml").write_text(
        "<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"
    )
    ran = gonogo(release, "analyze", "junit", "results.xml", "--json")
    assert ran.returncode == 0
    counts = json.loads(ran.stdout)
    assert (counts["tests"], counts["passed"], counts["failed"]) == (2, 1, 1)


def test_a_foreign_series_is_judged(release):
    rows = [f"{1767225600 + 60 * i},{500 + 0.05 * i + i % 7}" for i in range(72 * 60)]
    (release / "rss.csv").write_text("\n".join(["at,rss", *rows, "later,unknown"]))
    arguments = ("analyze", "soak", "rss.csv", "--time", "at", "--value", "rss")
    ran = gonogo(release, *arguments, "--json")
    assert ran.returncode == 0
    trend = json.loads(ran.stdout)
    assert trend["verdict"] == "leaking"
    assert trend["slope_per_hour"] == pytest.approx(3, rel=0.01)
    assert trend["notes"] == ["1 of 4321 rows left out: no time in column 'at'"]
    told = gonogo(release, *arguments).stdout.splitlines()
    assert told[0].startswith("leaking: ")
    assert any(line.startswith("line ") for line in told)
    assert gonogo(release, *arguments, "--control", "rss.csv").stdout.startswith(
        "not-proven: it grows as much as the control"
    )


def processes_in(folder: Path) -> list[psutil.Process]:
    """Processes that work in the folder, or were told of it."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()) or process.cwd().startswith(str(folder)):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


@pytest.fixture
def interruptible():
    """A test run in the background ignores SIGINT, and so would all that it starts; a handler here resets that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_whatever_ends_an_authorization_nothing_that_it_started_lives_on(release, sent, code):
    (release / "checks" / "test_shop.py").write_text("import time\n\ndef test_shop():\n    time.sleep(600)\n")
    with (release / "err.txt").open("w") as errors:
        running = subprocess.Popen(
            command(*AUTHORIZE), cwd=release, env=environment(release / "user-home"), stdout=errors, stderr=errors
        )
    wait_for(
        lambda: running.poll() is not None or any("pytest" in " ".join(p.cmdline()) for p in processes_in(release)),
        what="the test suite running",
        timeout_s=120,
    )
    running.send_signal(sent)
    assert running.wait(60) == code, (release / "err.txt").read_text()
    wait_for(lambda: not processes_in(release), what="nothing left running", timeout_s=60)
    said = (release / "err.txt").read_text()
    assert "Traceback" not in said
    assert sent == signal.SIGKILL or "gonogo: interrupted" in said


def test_results_of_another_system_are_added_and_count(release):
    plan = release / "plan.yaml"
    plan.write_text(plan.read_text().replace("{kind: test-suite, run: pytest checks}", "{kind: test-suite}"))
    (release / "results.xml").write_text("<testsuite><testcase name='a'/><testcase name='b'/></testsuite>")
    before = gonogo(release, *AUTHORIZE)
    assert before.returncode == 30
    assert "Add results of tests: It works" in before.stdout
    ran = gonogo(release, "evidence", "add", "plan.yaml", "results.xml", "--collector", "tests")
    assert ran.returncode == 0, ran.stderr
    assert "passed: 2 of 2 tests passed" in ran.stdout
    after = gonogo(release, "report", "plan.yaml", "--level", "rehearsal")
    assert after.returncode == 0
    assert "on the word of who added them" in " ".join(after.stdout.split())
    assert gonogo(release, "evidence", "add", "plan.yaml", "results.xml", "--collector", "documents").returncode == 2
