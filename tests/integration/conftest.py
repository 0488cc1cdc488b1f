from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.record import Record
from evidence.store import EvidenceStore, open_store
from tests.integration.postgresql import Server, find_commands, running_server
from tests.unit.evidence.conftest import SUBJECT, measurement


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    commands = find_commands()
    if commands is None:
        pytest.skip("PostgreSQL is not installed on this machine")
    with running_server(commands) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def store(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EvidenceStore]:
    monkeypatch.setenv("GONOGO_DATABASE_URL", database_url)
    opened = open_store(tmp_path / "home")
    yield opened
    opened.ledger.close()


@pytest.fixture
def records(store: EvidenceStore) -> list[Record]:
    return [store.record(SUBJECT, "documents", {"README.md": "sha256:" + "1" * 64}, measurement(n)) for n in (1, 2, 3)]
