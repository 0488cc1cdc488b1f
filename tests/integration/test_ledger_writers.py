"""Many writers at once, writers that are killed, servers that crash, disks that are full."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from evidence.database import LedgerError
from evidence.store import EvidenceStore, open_store
from evidence.verify import verify_ledger
from tests.integration.postgresql import Server
from tests.unit.evidence.conftest import SUBJECT, measurement

WRITER = Path(__file__).with_name("ledger_writer.py")
ROOT = Path(__file__).parents[2]


class Writer:
    """A process that appends records; ``go`` lets it begin."""

    def __init__(self, stack: ExitStack, home: Path, name: str, count: int) -> None:
        self.process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, str(WRITER), str(home), name, str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        )
        stack.callback(self.process.kill)

    def wait_until_open(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "open\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def acknowledged(self) -> Iterator[str]:
        """The ids that it printed whole, as they come."""
        assert self.process.stdout is not None
        return (line.strip() for line in self.process.stdout if line.endswith("\n"))


def ids(store: EvidenceStore) -> list[str]:
    return [row.record_id for row in store.ledger.rows()]


def test_eight_processes_leave_one_unbroken_chain_and_lose_nothing(store: EvidenceStore, tmp_path: Path) -> None:
    with ExitStack() as stack:
        writers = [Writer(stack, tmp_path / "home", f"writer-{n}", 500) for n in range(8)]
        for writer in writers:
            writer.wait_until_open()
        for writer in writers:
            writer.go()
        acknowledged = [list(writer.acknowledged()) for writer in writers]
        assert [writer.process.wait(60) for writer in writers] == [0] * 8
    assert [len(own) for own in acknowledged] == [500] * 8
    stored = ids(store)
    assert sorted(stored) == sorted(record_id for own in acknowledged for record_id in own)
    assert all([x for x in stored if x in set(own)] == own for own in acknowledged), "each in the order of its writer"
    verification = verify_ledger(store)
    assert (verification.problem, verification.records) == (None, 4000)


def test_processes_that_open_a_new_home_at_once_all_succeed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONOGO_DATABASE_URL", database_url)
    with ExitStack() as stack:
        writers = [Writer(stack, tmp_path / "home", f"writer-{n}", 5) for n in range(6)]
        for writer in writers:
            writer.go()
        assert [writer.process.wait(60) for writer in writers] == [0] * 6
    store = open_store(tmp_path / "home")
    verification = verify_ledger(store)
    assert (verification.problem, verification.records) == (None, 30)
    store.ledger.close()


def test_a_killed_writer_leaves_every_acknowledged_record(store: EvidenceStore, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for killed_after in (1, 7, 40, 83, 150):
        with ExitStack() as stack:
            writer = Writer(stack, tmp_path / "home", f"killed-after-{killed_after}", 100_000)
            writer.wait_until_open()
            writer.go()
            own = []
            for record_id in writer.acknowledged():
                own.append(record_id)
                if len(own) == killed_after:
                    writer.process.kill()
            assert writer.process.wait(60) == -9
            acknowledged += own
        stored = ids(store)
        assert [record_id for record_id in stored if record_id in set(acknowledged)] == acknowledged
        assert verify_ledger(store).problem is None
    store.record(SUBJECT, "documents", {}, measurement(1))
    assert verify_ledger(store).problem is None


def test_a_crashed_server_keeps_every_acknowledged_record_and_breaks_no_running_process(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONOGO_DATABASE_URL", postgresql.new_database())
    store = open_store(tmp_path / "home")
    before = [store.record(SUBJECT, "documents", {}, measurement(n)).record_id for n in range(20)]
    postgresql.kill()
    try:
        with pytest.raises(LedgerError, match="refused a record"):
            store.record(SUBJECT, "documents", {}, measurement(20))
    finally:
        postgresql.start()
    after = store.record(SUBJECT, "documents", {}, measurement(21)).record_id
    assert ids(store) == [*before, after]
    assert verify_ledger(store).problem is None
    store.ledger.close()


def test_a_full_disk_refuses_the_record_and_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GONOGO_DATABASE_URL", raising=False)
    store = open_store(tmp_path / "home")
    with store.ledger.engine.connect() as connection:  # the one that the pool gives to everyone
        connection.exec_driver_sql("PRAGMA max_page_count = 40")
    acknowledged = []
    with pytest.raises(LedgerError, match="full"):  # noqa: PT012 - how many fit is the database's affair
        for number in range(1000):
            acknowledged.append(store.record(SUBJECT, "documents", {}, measurement(number)).record_id)
    assert len(acknowledged) > 10
    assert ids(store) == acknowledged
    assert verify_ledger(store).problem is None
    store.ledger.close()
