from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evidence.measurement import AttachmentContent, Measurement
from evidence.record import Record, Subject
from evidence.results import DocumentationResult
from evidence.store import EvidenceStore, open_store

SUBJECT = Subject("shop", "2.0", "dirHash1:" + "a" * 64)


def measurement(lines: int = 1) -> Measurement:
    now = datetime.now(UTC)
    return Measurement(
        result=DocumentationResult(documents=1, complete=1, lines=lines, details=[]),
        outcome="passed",
        summary=f"{lines} lines",
        started_at=now,
        finished_at=now,
        attachments=[AttachmentContent("readme.txt", "text/plain", f"line {lines}".encode())],
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EvidenceStore]:
    monkeypatch.delenv("GONOGO_DATABASE_URL", raising=False)
    opened = open_store(tmp_path / "home")
    yield opened
    opened.ledger.close()


@pytest.fixture
def records(store: EvidenceStore) -> list[Record]:
    return [store.record(SUBJECT, "documents", {"README.md": "sha256:" + "1" * 64}, measurement(n)) for n in (1, 2, 3)]
