"""A database that goes away: the service says so, keeps measuring, and goes on by itself when the database is back."""

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from processes.wait import wait_for
from tests.engines.conftest import serving
from tests.integration.postgresql import find_commands, running_server

pytestmark = pytest.mark.phase4

COMMANDS = find_commands()

START = {"user_id": "u", "persona_id": "Lua"}


# Where PostgreSQL is not installed nothing is skipped here, and test_databases.py says that it was not tested.
if COMMANDS is not None:

    def test_without_its_database_the_service_is_not_ready_and_loses_nothing_that_was_stored():
        with running_server(COMMANDS) as server:
            with serving("phase4", ION_DATABASE_URL=server.new_database()) as client:
                session = client.post("/api/v2/conversations/start", json=START).json()["session_id"]
                path = f"/api/v2/conversations/{session}"
                client.post(f"{path}/turn", json={"user_message": "remember this"})
                server.kill()

                down = client.get("/health/ready")
                assert (down.status_code, down.json()["components"]["database"]) == (503, "down")
                assert client.get("/health").status_code == 200
                refused = client.post(f"{path}/turn", json={"user_message": "and this"})
                assert refused.status_code == 503
                assert refused.headers["Retry-After"] == "1"
                assert not any(
                    word in refused.text.lower() for word in ("psycopg", "sql", "127.0.0.1", str(server.port))
                )
                assert "session_count NaN" in client.get("/metrics").text
                assert (
                    client.post("/api/v2/recommend/personalized", json={"user_id": "u", "query": "x"}).status_code
                    == 200
                )

                server.start()
                assert client.get("/health/ready").json()["components"]["database"] == "ready"
                answer = client.post(f"{path}/turn", json={"user_message": "and this"}).json()
                assert answer["turn_number"] == 2
                assert [turn["user_message"] for turn in client.get(path).json()["messages"]] == [
                    "remember this",
                    "and this",
                ]
            server.kill()


def test_however_many_wait_for_a_database_that_is_stuck_each_is_told_in_time_and_so_is_who_checks(tmp_path):
    """They waited in one queue of threads, and the last were told after a multiple of the time."""
    path = tmp_path / "ion.sqlite"
    with serving("phase4", ION_DATABASE_URL=f"sqlite:///{path}", ION_DATABASE_POOL_SIZE="2") as client:

        def timed(method, url, **more):
            began_s = time.monotonic()
            return client.request(method, url, **more).status_code, time.monotonic() - began_s

        with closing(sqlite3.connect(path)) as connection, ThreadPoolExecutor(60) as pool:
            connection.execute("BEGIN IMMEDIATE")
            waiting = [pool.submit(timed, "POST", "/api/v2/conversations/start", json=START) for _ in range(60)]
            wait_for(lambda: "database_pool_in_use 2.0" in client.get("/metrics").text, what="them", timeout_s=20)
            checked = timed("GET", "/health/ready")
            answers = [answer.result() for answer in waiting]
        assert checked[1] < 4
        assert {status for status, _ in answers} == {503}
        assert max(taken_s for _, taken_s in answers) < 14  # 5 s for a connection, 5 s for the lock, and a slow machine
        assert client.get("/health/ready").status_code == 200


def test_a_service_that_finds_no_database_ends_with_one_line_without_the_password():
    argv = [sys.executable, "-m", "engines.api", "--release", "phase4", "--port", "1"]
    url = "postgresql+psycopg://ion:word-of-the-test@127.0.0.1:1/ion"
    ended = subprocess.run(argv, env={"ION_DATABASE_URL": url}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith("ion-mentoring: the database cannot be used")
    assert "word-of-the-test" not in ended.stderr
