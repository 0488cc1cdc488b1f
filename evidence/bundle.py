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
from typing import IO, Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from evidence.allowed_signers import Signer, parse_allowed_signers
from evidence.dsse import key_id, sign, verify
from evidence.record import Subject
from evidence.statement import STATEMENT_TYPE, statement_subject
from processes.errors import IntegrityError, UsageError

MANIFEST = "manifest.dsse.json"
COLLECTORS = "collectors.allowed"
PREDICATE_TYPE = "urn:gonogo:bundle:v1"

_NAME = re.compile(r"[a-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Annotations(_Strict):
    version: str


class _Resource(_Strict):
    name: str
    annotations: _Annotations
    digest: dict[str, str] = Field(min_length=1, max_length=1)

    def as_subject(self) -> Subject:
        ((algorithm, digest),) = self.digest.items()
        return Subject(self.name, self.annotations.version, f"{algorithm}:{digest}")


class _Contents(_Strict):
    facts: JsonValue
    files: dict[str, str]


class _Manifest(_Strict):
    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: Literal["urn:gonogo:bundle:v1"] = Field(alias="predicateType")
    subject: list[_Resource] = Field(min_length=1, max_length=1)
    predicate: _Contents


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte fits its manifest. ``facts`` is what the manifest says besides the files.

    ``signer`` made it; ``trusted`` are the collectors it was checked against.
    """

    files: Mapping[str, bytes]
    subject: Subject
    facts: Any
    signer: Signer
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
    content = _packed({**files, MANIFEST: sign(statement, key)})
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def read_bundle(content: bytes, trusted: tuple[Signer, ...] | None = None) -> Bundle:
    """Read a bundle and hold every byte against its manifest. Raises IntegrityError.

    ``trusted`` are the collectors who may have signed it; None: those that the bundle itself names, which shows that it
    is whole, and not by whom it was made.
    """
    files = _unpack(content)
    if _packed(files) != content:
        raise IntegrityError("the bundle is not written as gonogo writes it: it was changed")
    if MANIFEST not in files or COLLECTORS not in files:
        raise IntegrityError(f"is no bundle of gonogo: it has no {MANIFEST} or no {COLLECTORS}")
    if trusted is None:
        trusted = parse_allowed_signers(files[COLLECTORS].decode(errors="replace"), name=COLLECTORS)
    statement, signed_by = verify(files.pop(MANIFEST), [signer.key for signer in trusted])
    try:
        manifest = _Manifest.model_validate(statement)
    except ValidationError as error:
        raise IntegrityError("its manifest is something else") from error
    named = manifest.predicate.files
    for name in sorted(files.keys() | named.keys()):
        if name not in files or name not in named:
            raise IntegrityError(f"{name} is {'missing' if name in named else 'not named by the manifest'}")
        if hashlib.sha256(files[name]).hexdigest() != named[name]:
            raise IntegrityError(f"{name} was changed")
    signer = next(signer for signer in trusted if key_id(signer.key) == signed_by)
    return Bundle(files, manifest.subject[0].as_subject(), manifest.predicate.facts, signer, trusted)


def _pack(stream: IO[bytes], files: Mapping[str, bytes]) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            tar.addfile(info, io.BytesIO(files[name]))


def _packed(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    try:
        _pack(stream, files)
    except (ValueError, UnicodeError) as error:  # a name that the canonical form cannot hold
        raise IntegrityError(f"is no bundle: {error}") from error
    return stream.getvalue()


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
