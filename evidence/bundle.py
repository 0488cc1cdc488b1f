"""A bundle: evidence and all that it was decided from, in one file that can be checked anywhere.

The file is an uncompressed tar in one canonical form (sorted names, no times, owners or padding of choice), so that
every byte of it is either content, which the signed manifest names by sha256, or determined by it.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.allowed_signers import Signer, parse_allowed_signers
from evidence.dsse import sign, verify
from evidence.record import Subject
from evidence.statement import STATEMENT_TYPE, statement_subject
from processes.errors import IntegrityError

MANIFEST = "manifest.dsse.json"
COLLECTORS = "collectors.allowed"
PREDICATE_TYPE = "urn:gonogo:bundle:v1"

_NAME = re.compile(r"[a-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*")


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte fits its manifest. ``facts`` is what the manifest says besides the files.

    ``signed_by`` is the id of the key that signed it; ``trusted`` are the collectors it was checked against.
    """

    files: Mapping[str, bytes]
    facts: Mapping[str, Any]
    signed_by: str
    trusted: tuple[Signer, ...]

    def file(self, name: str) -> bytes:
        """The content of a file. Raises IntegrityError when the bundle has none of this name."""
        if name not in self.files:
            raise IntegrityError(f"the bundle has no {name}")
        return self.files[name]

    def folder(self, name: str) -> Iterator[tuple[str, bytes]]:
        """Names (without the folder) and contents of the files in a folder, sorted."""
        for path in sorted(self.files):
            if path.startswith(f"{name}/"):
                yield path.removeprefix(f"{name}/"), self.files[path]


def write_bundle(
    path: Path, files: Mapping[str, bytes], subject: Subject, facts: Mapping[str, Any], key: Ed25519PrivateKey
) -> None:
    """Sign a manifest of the files and write all of it to ``path``, whole or not at all."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [statement_subject(subject)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "facts": dict(facts),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        },
    }
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as stream:
        _pack(stream, {**files, MANIFEST: sign(statement, key)})
    partial.replace(path)


def read_bundle(content: bytes, trusted: tuple[Signer, ...] | None = None) -> Bundle:
    """Read a bundle and hold every byte against its manifest. Raises IntegrityError.

    ``trusted`` are the collectors who may have signed it; None: those that the bundle itself names, which shows that it
    is whole, and not by whom it was made.
    """
    files = _unpack(content)
    packed = io.BytesIO()
    _pack(packed, files)
    if packed.getvalue() != content:
        raise IntegrityError("the bundle is not written as gonogo writes it: it was changed")
    if MANIFEST not in files or COLLECTORS not in files:
        raise IntegrityError(f"is no bundle of gonogo: it has no {MANIFEST} or no {COLLECTORS}")
    if trusted is None:
        trusted = parse_allowed_signers(files[COLLECTORS].decode(errors="replace"), name=COLLECTORS)
    statement, signed_by = verify(files.pop(MANIFEST), [signer.key for signer in trusted])
    try:
        if statement["predicateType"] != PREDICATE_TYPE:
            raise IntegrityError("its manifest is something else")
        named, facts = statement["predicate"]["files"], statement["predicate"]["facts"]
    except (KeyError, TypeError) as error:
        raise IntegrityError("its manifest is something else") from error
    for name in sorted(files.keys() | named.keys()):
        if name not in files or name not in named:
            raise IntegrityError(f"{name} is {'missing' if name in named else 'not named by the manifest'}")
        if hashlib.sha256(files[name]).hexdigest() != named[name]:
            raise IntegrityError(f"{name} was changed")
    return Bundle(files, facts, signed_by, trusted)


def _pack(stream: IO[bytes], files: Mapping[str, bytes]) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            tar.addfile(info, io.BytesIO(files[name]))


def _unpack(content: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:", encoding="ascii", errors="strict") as tar:
            for member in tar:
                extracted = tar.extractfile(member) if member.isreg() else None
                if extracted is None or not _NAME.fullmatch(member.name) or member.name in files:
                    raise IntegrityError(f"the bundle holds {member.name!r}, which no bundle does")
                files[member.name] = extracted.read()
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError, EOFError) as error:
        raise IntegrityError(f"is no bundle: {error}") from error
    return files
