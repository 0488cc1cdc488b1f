"""Signing keys: ordinary OpenSSH Ed25519 keys, as ``ssh-keygen -t ed25519`` makes them."""

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHPrivateKeyTypes,
    load_ssh_private_key,
    load_ssh_public_key,
)

from processes.errors import IntegrityError, UsageError


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
        publish(beside, f"{public_text(key.public_key())} gonogo collector\n".encode(), mode=0o644)
    return key


def load_signing_key(path: Path, passphrase: Callable[[], str]) -> Ed25519PrivateKey:
    """A person's private key; ``passphrase`` is asked only when the key is protected. Raises UsageError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        key = load_ssh_private_key(content, password=None)
    except TypeError:  # what cryptography raises for a key that needs a passphrase
        key = _unlock(path, content, passphrase().encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path}: no OpenSSH private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: expected an Ed25519 key (ssh-keygen -t ed25519)")
    return key


def _unlock(path: Path, content: bytes, passphrase: bytes) -> SSHPrivateKeyTypes:
    try:
        return load_ssh_private_key(content, password=passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path}: the passphrase does not open this key") from error


# The points of small order, y as 32 bytes with the sign bit off, canonical and not: libsodium refuses the same ones.
_SMALL_ORDER = frozenset(
    bytes.fromhex(text)
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)


def is_weak(key: Ed25519PublicKey) -> bool:
    """Whether the key is a point of small order, for which anybody can make signatures."""
    raw = key.public_bytes_raw()
    return raw[:31] + bytes([raw[31] & 0x7F]) in _SMALL_ORDER


def public_text(key: Ed25519PublicKey) -> str:
    """The key as OpenSSH writes it: ``ssh-ed25519 AAAA…``."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def parse_public_text(text: str) -> Ed25519PublicKey:
    """The key of such a text, which must be exactly how ``public_text`` writes it. Raises IntegrityError."""
    try:
        key = load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IntegrityError("names no OpenSSH public key") from error
    if not isinstance(key, Ed25519PublicKey) or public_text(key) != text:
        raise IntegrityError("names no Ed25519 key as OpenSSH writes it")
    if is_weak(key):
        raise IntegrityError("names a key of small order, for which anybody can sign")
    return key


def _create_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    publish(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), mode=0o600)


def publish(path: Path, content: bytes, *, mode: int) -> None:
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
