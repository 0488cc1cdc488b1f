"""Attachments, stored under the sha256 of their content: a local folder, or any fsspec URL."""

import hashlib
import uuid
from dataclasses import dataclass

import fsspec

from processes.errors import IntegrityError


@dataclass(frozen=True)
class AttachmentStore:
    """A content-addressed store at ``url`` (a folder path, ``s3://…``, ``gcs://…``)."""

    url: str

    def put(self, content: bytes) -> str:
        """Store content and return its sha256 (hex). The content appears whole or not at all."""
        digest = hashlib.sha256(content).hexdigest()
        filesystem, path = self._locate(digest)
        if not filesystem.exists(path):
            partial = f"{path}.{uuid.uuid4().hex}.partial"
            filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            filesystem.pipe_file(partial, content)
            filesystem.mv(partial, path)
        return digest

    def get(self, digest: str) -> bytes:
        """The content with this sha256. Raises IntegrityError when it is missing or is not what its name says."""
        filesystem, path = self._locate(digest)
        try:
            content: bytes = filesystem.cat_file(path)
        except (OSError, ValueError) as error:
            raise IntegrityError(f"attachment {digest[:12]} cannot be read: {error}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise IntegrityError(f"attachment {digest[:12]} was changed")
        return content

    def _locate(self, digest: str) -> tuple[fsspec.AbstractFileSystem, str]:
        filesystem, root = fsspec.core.url_to_fs(self.url)
        return filesystem, f"{root}/{digest[:2]}/{digest}"
