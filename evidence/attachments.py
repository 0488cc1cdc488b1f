"""Attachments, stored under the sha256 of their content: a local folder, or any fsspec URL.

An attachment is stored before the record that names it. A crash in between leaves content that no record names: it
does no harm, and the same measurement made again finds it in place.
"""

import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from processes.errors import IntegrityError


@dataclass(frozen=True)
class AttachmentStore:
    """A content-addressed store at ``url`` (a folder path, ``s3://…``, ``gcs://…``)."""

    url: str

    def put(self, content: bytes) -> str:
        """Store content and return its sha256 (hex). The content appears whole or not at all, and is then durable."""
        digest = hashlib.sha256(content).hexdigest()
        filesystem, path = self._locate(digest)
        if isinstance(filesystem, LocalFileSystem):
            _put_file(Path(path), content)
        elif not filesystem.exists(path):
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

    def remove(self, digest: str) -> bool:
        """Remove the content with this sha256; False when it was not there."""
        filesystem, path = self._locate(digest)
        try:
            filesystem.rm_file(path)
        except FileNotFoundError:
            return False
        return True

    def _locate(self, digest: str) -> tuple[fsspec.AbstractFileSystem, str]:
        filesystem, root = fsspec.core.url_to_fs(self.url)
        return filesystem, f"{root}/{digest[:2]}/{digest}"


def _put_file(path: Path, content: bytes) -> None:
    """Write, flush, rename, flush the folders: a record must never name what a power loss can take away."""
    root = path.parent.parent
    folders = [path.parent, root] if root.exists() else [path.parent, root, root.parent]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    # Also where it was there already: whoever wrote it may not have come this far.
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
