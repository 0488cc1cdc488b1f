"""``gonogo evidence`` and ``gonogo verify`` on a ledger with old records."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.main import run
from evidence.record import Record
from evidence.store import EvidenceStore, open_store
from tests.unit.evidence.conftest import SUBJECT, measurement

DOCUMENT = Path(__file__).parents[2] / "docs" / "ledger.md"


@pytest.fixture
def home(store: EvidenceStore, tmp_path: Path) -> str:
    for number, days_old in enumerate((500, 450, 3)):
        time = datetime.now(UTC) - timedelta(days=days_old)
        store.record(SUBJECT, "documents", {}, replace(measurement(number), started_at=time, finished_at=time))
    return str(tmp_path / "home")


def test_old_records_are_removed_listed_as_removed_and_verified(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evidence", "prune", "--older-than", "400d", "--reason", "kept for 400 days", "--home", home]) == 0
    told = capsys.readouterr().out
    assert "removed: content of 2 records, 2 attachments" in told
    assert run(["verify", "--ledger", "--home", home]) == 0
    assert "intact: 4 records and 1 attachments" in (verified := capsys.readouterr().out)
    assert "the content of 2 was removed by retention" in verified
    assert run(["evidence", "list", "--json", "--home", home]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [line["outcome"] for line in listed] == ["removed", "removed", "passed", "passed"]
    assert [line["kind"] for line in listed][3] == "retention"
    assert listed[3]["record_id"][:12] in told
    assert run(["evidence", "show", "1", "--home", home]) == 2
    assert "retention removed its content" in capsys.readouterr().err
    assert run(["evidence", "show", "4", "--home", home]) == 0
    assert "kept for 400 days" in capsys.readouterr().out


def test_what_was_removed_is_also_told_as_json(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    prune = ["evidence", "prune", "--older-than", "400d", "--reason", "old", "--json", "--home", home]
    assert run(prune) == 0
    told = json.loads(capsys.readouterr().out)
    assert ([x["kind"] for x in told["removed"]], told["attachments_removed"]) == (["documentation"] * 2, 2)
    assert len(told["retention_records"]) == 1
    assert run(prune) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == []


@pytest.mark.parametrize(
    ("older_than", "reason", "mistake"),
    [("soon", "old", "expected a duration"), ("99999999d", "old", "at most 36500d"), ("400d", " ", "--reason")],
)
def test_a_wrong_removal_is_one_line_and_removes_nothing(
    home: str, store: EvidenceStore, capsys: pytest.CaptureFixture[str], older_than: str, reason: str, mistake: str
) -> None:
    assert run(["evidence", "prune", "--older-than", older_than, "--reason", reason, "--home", home]) == 2
    error = capsys.readouterr().err
    assert mistake in error
    assert error.count("\n") == 1
    assert len(list(store.ledger.rows())) == 3


def test_content_that_is_gone_without_a_removal_is_shown_as_invalid(
    store: EvidenceStore, records: list[Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE records SET envelope = NULL WHERE sequence = 2")
    home = str(tmp_path / "home")
    assert run(["evidence", "list", "--home", home]) == 20
    assert "INVALID: its content is missing" in capsys.readouterr().out
    assert run(["evidence", "show", "2", "--home", home]) == 70
    assert run(["verify", "--ledger", "--home", home]) == 20


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the sqlite3 command is not installed on this machine")
def test_the_documents_shell_lines_recompute_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GONOGO_DATABASE_URL", raising=False)
    store = open_store(tmp_path / ".gonogo")
    for number in range(5):
        store.record(SUBJECT, "documents", {}, measurement(number))
    store.ledger.close()
    block = re.search(r"^```sh\n(db=.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert block is not None
    ran = subprocess.run(["sh", "-eu", "-c", block[1]], cwd=tmp_path, capture_output=True, text=True, check=True)
    printed = [line.split()[0] for line in ran.stdout.splitlines()]
    assert len(printed) == 6
    assert printed[0::2] == printed[1::2]
