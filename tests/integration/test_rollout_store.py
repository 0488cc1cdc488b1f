"""Journal, observations and the one-at-a-time lock of rollouts, on SQLite and on PostgreSQL."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from evidence.database import LedgerError, open_database
from processes.wait import wait_for
from rollouts.exclusive import AnotherAtWork, exclusively
from rollouts.journal import Draft, Journal, JournalMovedOn
from rollouts.observation import ArmTotals, Observation, RecordedStable
from rollouts.samples import RequestSample
from rollouts.tick_store import PLACE, RolloutRow, TickStore, newest_rollout, start_rollout, unended_at
from rollouts.triggers import CanaryWindow

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 1, 12, 12, 0, 0, 123456, tzinfo=UTC)
HOLDER = """
import sys
from evidence.database import open_database
from rollouts.exclusive import exclusively
with exclusively(open_database(sys.argv[1]), "shop-1"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def started(url: str, rollout_id: str = "shop-1", at: str = "2026-01-12T12:00:00+00:00") -> TickStore:
    engine = open_database(url)
    row = RolloutRow(rollout_id, "shop", "dirHash1:0", "0" * 64, at, 0)
    start_rollout(engine, row, Observation(cursor=7), Draft("start", "canary", 0, {"why": "it is time"}))
    return TickStore(engine, rollout_id)


def test_entries_are_numbered_and_nobody_writes_after_an_entry_that_is_not_the_last(database_url: str) -> None:
    with Journal(database_url, "shop-1") as journal:
        first = journal.append([Draft("start", "canary", 0), Draft("expose", "canary", 500, {"salt": "a"})], at=AT)
        assert [entry.number for entry in first] == [1, 2]
        journal.append([Draft("confirm", "canary", 500)], at=AT, after=2)
        with pytest.raises(JournalMovedOn):
            journal.append([Draft("roll-back", "canary", 0)], at=AT, after=2)
        entries = journal.entries()
        assert [entry.action for entry in entries] == ["start", "expose", "confirm"]
        assert entries[1] == first[1]
        with Journal(database_url, "another") as other:
            assert other.entries() == []


def test_what_ticks_saw_is_read_back_as_it_was(database_url: str) -> None:
    store = started(database_url)
    assert store.load() == Observation(cursor=7)
    requests = [
        RequestSample(1.25, "canary", 500, 0.1, "ada", "canary"),
        RequestSample(2.5, "stable", 200, 3.7, "eve", "stable"),
    ]
    seen = Observation(
        cursor=99,
        epoch=1,
        chunks=1,
        windows=(CanaryWindow(100, 1, 0, 12.5, memory=0.5),),
        earlier_canary=ArmTotals(10, 1),
        recorded=RecordedStable(1000, 2, 9.5),
        judged={"action": "wait", "why": "0 of 200", "needs_requests": None},
    )
    store.save(seen, new=requests, read=requests)
    assert store.load() == seen
    assert store.requests(1) == requests
    assert store.users_exposed() == 1
    store.save(Observation(epoch=2, chunks=1), new=requests, read=requests, forget_epochs=[1])
    assert store.requests(1) == []
    assert store.requests(2) == requests
    assert store.users_exposed() == 1
    assert store.notified(3) == store.notified() == 3


def test_users_of_an_ab_test_are_kept_once_with_the_arm_they_were_assigned_to(database_url: str) -> None:
    store = started(database_url)
    requests = [
        RequestSample(1.0, "stable", 200, 1.0, "ada", "canary"),  # the candidate was down: she counts as its user
        RequestSample(1.5, "canary", 200, 1.0, "ada", "canary"),
        RequestSample(2.0, "stable", 200, 1.0, "eve", "stable"),
        RequestSample(2.5, "stable", 200, 1.0, "-", "stable"),  # names no user
    ]
    store.save(Observation(epoch=1, chunks=1), new=requests, read=requests)
    assert store.exposures("ab-test") == [], "the stage has no test"
    for chunk in (2, 3):
        store.save(Observation(epoch=1, chunks=chunk), new=requests, read=requests, tested="ab-test")
    assert store.exposures("ab-test") == [("ada", "canary"), ("eve", "stable")]
    assert (store.exposed("ab-test"), store.exposed("another")) == (2, 0)
    moved = [RequestSample(3.0, "stable", 200, 1.0, "ada", "stable")]
    store.save(Observation(epoch=1, chunks=4), new=moved, read=moved, tested="ab-test")
    assert store.exposures("ab-test") == [("ada", "canary"), ("ada", "stable"), ("eve", "stable")]
    assert TickStore(store.engine, "another").exposures("ab-test") == []


def test_the_rollout_that_was_started_last_is_the_current_one(database_url: str) -> None:
    started(database_url)
    store = started(database_url, "shop-2", "2026-01-13T12:00:00+00:00")
    row = newest_rollout(store.engine, "shop")
    assert row is not None
    assert row.rollout_id == "shop-2"
    assert newest_rollout(store.engine, "another") is None


def test_a_second_tick_ends_at_once_and_a_killed_one_holds_nothing(database_url: str) -> None:
    engine = open_database(database_url)
    with subprocess.Popen([sys.executable, "-c", HOLDER, database_url], cwd=ROOT, stdin=-1, stdout=-1) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AnotherAtWork, match="another tick is at work"), exclusively(engine, "shop-1"):
            pytest.fail("two are at work")
        with exclusively(engine, "shop-2"):
            pass  # of another rollout
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()

    def free() -> bool:
        try:
            with exclusively(engine, "shop-1"):
                return True
        except AnotherAtWork:
            return False

    wait_for(free, what="the lock of the dead", timeout_s=20)
    with exclusively(engine, "shop-1"):
        pass  # it was given back
    engine.dispose()


def test_one_database_has_one_lock_whatever_link_leads_to_it(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path / 'ledger.sqlite'}").dispose()
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "ledger.sqlite")
    engines = [create_engine(f"sqlite:///{tmp_path / name}") for name in ("ledger.sqlite", "link.sqlite")]
    with exclusively(engines[0], "shop-1"), pytest.raises(AnotherAtWork), exclusively(engines[1], "shop-1"):
        pytest.fail("two are at work")
    for engine in engines:
        engine.dispose()


def test_a_router_is_held_by_the_rollout_on_it_until_that_has_ended(database_url: str) -> None:
    engine = open_database(database_url)
    for rollout_id, place in (("shop-1", "router at /a"), ("shop-2", "router at /b")):
        row = RolloutRow(rollout_id, "shop", "dirHash1:0", "0" * 64, AT.isoformat(), 0)
        start_rollout(engine, row, Observation(), Draft("start", "canary", 0, {"why": "", PLACE: place}))
    assert unended_at(engine, "router at /a") == "shop-1"
    assert unended_at(engine, "router at /c") is None
    with Journal(database_url, "shop-1") as journal:
        journal.write("abort", "canary", 0, why="enough")
        assert unended_at(engine, "router at /a") == "shop-1"  # its traffic is not at stable yet
        journal.write("confirm", "canary", 0)
        assert unended_at(engine, "router at /a") is None
    assert unended_at(engine, "router at /b") == "shop-2"
    with Journal(database_url, "shop-2") as journal:
        journal.write("record", "canary", 0)
    assert unended_at(engine, "router at /b") is None
    engine.dispose()


def test_who_waits_in_vain_is_told_what_to_do_and_on_sqlite_who_is_in_the_way(database_url: str) -> None:
    engine = open_database(database_url)
    with subprocess.Popen([sys.executable, "-c", HOLDER, database_url], cwd=ROOT, stdin=-1, stdout=-1) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        who = f"process {holder.pid}" if engine.dialect.name == "sqlite" else "another process"
        told = f"^{who} has been at work on this rollout for 0.2 s, .*if it hangs, end it"
        with pytest.raises(AnotherAtWork, match=told), exclusively(engine, "shop-1", wait_s=0.2):
            pytest.fail("two are at work")
        holder.kill()
    engine.dispose()


def lose_the_lock_and_fail(engine: Engine) -> None:
    with exclusively(engine, "shop-1"):
        if engine.dialect.name == "postgresql":
            with engine.connect() as other:
                mine = "datname = current_database() AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
                assert other.scalar(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))
        raise ValueError("the block's own")


def test_what_goes_wrong_under_a_lock_that_is_lost_is_told_as_it_is(database_url: str) -> None:
    engine = open_database(database_url)
    with pytest.raises(ValueError, match="the block's own"):
        lose_the_lock_and_fail(engine)
    with exclusively(engine, "shop-1", wait_s=20):
        pass  # nobody holds it, once PostgreSQL has ended what it was told to end
    engine.dispose()


def test_a_lock_that_cannot_be_kept_is_told_in_one_line(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    gone = engine.url.set(database=str(tmp_path / "gone" / "ledger.db"))
    with (
        pytest.raises(LedgerError, match="the rollout cannot be locked: No such file"),
        exclusively(create_engine(gone), "shop-1"),
    ):
        pytest.fail("nothing is locked")
    engine.dispose()
