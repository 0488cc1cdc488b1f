from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evidence.attachments import AttachmentStore
from processes.errors import IntegrityError


@pytest.fixture(params=["folder", "memory"])
def attachments(request: pytest.FixtureRequest, tmp_path: Path) -> AttachmentStore:
    return AttachmentStore(str(tmp_path / "attachments") if request.param == "folder" else f"memory://{tmp_path}")


def test_an_attachment_is_known_by_its_content_alone(attachments: AttachmentStore) -> None:
    digest = attachments.put(b"content")
    assert attachments.put(b"content") == digest
    assert attachments.get(digest) == b"content"
    with pytest.raises(IntegrityError):
        attachments.get("0" * 64)


def test_an_attachment_is_removed_once(attachments: AttachmentStore) -> None:
    digest = attachments.put(b"content")
    assert (attachments.remove(digest), attachments.remove(digest)) == (True, False)
    with pytest.raises(IntegrityError, match="cannot be read"):
        attachments.get(digest)


def test_writers_of_the_same_content_do_not_disturb_each_other(tmp_path: Path) -> None:
    store = AttachmentStore(str(tmp_path / "attachments"))
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(store.put, [b"content" * 1000] * 80))
    assert len(digests) == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == list(digests)
