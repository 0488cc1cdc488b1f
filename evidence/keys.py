"""Signing keys: ordinary OpenSSH Ed25519 keys, as ``ssh-keygen -t ed25519`` makes them."""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from processes.errors import UsageError


def load_or_create_key(path: Path) -> Ed25519PrivateKey:
    """The private key at ``path``; made there, with its ``.pub`` beside it, when there is none. Raises UsageError.

    Processes that begin at once end with one key.
    """
    if not path.exists():
        _create_key(path)
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, OSError) as error:
        raise UsageError(f"{path}: no unencrypted OpenSSH private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: expected an Ed25519 key (ssh-keygen -t ed25519)")
    if not (beside := path.with_name(path.name + ".pub")).exists():
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        _publish(beside, public + b" gonogo collector\n", mode=0o644)
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in an OpenSSH ``.pub`` file. Raises UsageError."""
    try:
        key = load_ssh_public_key(path.read_bytes().split(b"\n")[0])
    except (ValueError, UnsupportedAlgorithm, OSError) as error:
        raise UsageError(f"{path}: no OpenSSH public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path}: expected an Ed25519 key")
    return key


def _create_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    _publish(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), mode=0o600)


def _publish(path: Path, content: bytes, *, mode: int) -> None:
    """Put a whole, durable file in place, unless another process was first."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        path.hardlink_to(partial)
    partial.unlink()
