"""The ledger's schema is made and kept by migrations, on SQLite and on PostgreSQL."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from evidence.database import HEAD_REVISION, VERSION_TABLE, LedgerError, metadata, open_database, writing
from evidence.ledger import Ledger
from evidence.migrations.upgrade import known_revisions
from tests.integration.postgresql import Server

ROOT = Path(__file__).parents[2]


def run(url: str, statement: str) -> None:
    engine = open_database(url)
    with writing(engine) as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_the_newest_revision_is_the_one_that_the_ledger_asks_for() -> None:
    assert known_revisions()[0] == HEAD_REVISION


def test_the_migrated_schema_is_the_one_that_the_code_describes(database_url: str) -> None:
    engine = open_database(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_an_up_to_date_ledger_is_opened_without_alembic(database_url: str) -> None:
    Ledger(database_url).close()
    code = (
        f"import sys; from evidence.ledger import Ledger; Ledger({database_url!r}); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_ledger_of_an_older_gonogo_is_refused_in_one_line(database_url: str) -> None:
    run(database_url, f"DROP TABLE {VERSION_TABLE}")
    with pytest.raises(LedgerError, match="made by an older gonogo") as refusal:
        Ledger(database_url)
    assert "\n" not in str(refusal.value)


def test_a_ledger_of_a_newer_gonogo_is_refused_in_one_line(database_url: str) -> None:
    run(database_url, f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    with pytest.raises(LedgerError, match="made by a newer gonogo \\(schema 0999\\)") as refusal:
        Ledger(database_url)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_no_database_is_refused_in_one_line_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_text("not a database " * 1000)
    with pytest.raises(LedgerError, match="cannot be opened: file is not a database"):
        Ledger(f"sqlite:///{file}")
    assert file.read_text() == "not a database " * 1000


OPENER = """
import os, sys, evidence.migrations.upgrade
from evidence.ledger import Ledger
print("ready", flush=True)
sys.stdin.readline()
for url in sys.argv[1:]:
    ledger = Ledger(url)
    ledger.append(b"%d" % os.getpid(), subject="s", collector="c", kind="k")
    ledger.close()
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_make_the_same_ledgers_at_once_all_succeed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "postgresql":
        server: Server = request.getfixturevalue("postgresql")
        urls = [server.new_database() for _ in range(20)]
    else:
        urls = [f"sqlite:///{tmp_path / f'{n}.sqlite'}" for n in range(20)]
    with ExitStack() as stack:
        openers = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", OPENER, *urls], cwd=ROOT, stdin=-1, stdout=-1, text=True)
            )
            for _ in range(4)
        ]
        for opener in openers:
            assert opener.stdout is not None
            assert opener.stdout.readline() == "ready\n"
        for opener in openers:
            assert opener.stdin is not None
            opener.stdin.write("go\n")
            opener.stdin.flush()
        assert [opener.wait(60) for opener in openers] == [0] * 4
    for url in urls:
        ledger = Ledger(url)
        assert [row.sequence for row in ledger.rows()] == [1, 2, 3, 4]
        ledger.close()
