"""Where evidence lives: ledger, attachments and signing key of one working folder."""

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from evidence.acts import Act
from evidence.allowed_signers import Signer, line_of, read_allowed_signers
from evidence.attachments import AttachmentStore
from evidence.dsse import key_id, sign, unverified_payload, verify
from evidence.keys import load_or_create_key, parse_public_text, public_text, publish
from evidence.kinds import ACTS
from evidence.ledger import Ledger, Row
from evidence.measurement import Measurement
from evidence.record import Attachment, Record, Subject
from evidence.results import RemovedRecord, RetentionResult
from evidence.retention import was_removed
from evidence.statement import TEST_RESULT_TYPE, build_statement, parse_statement
from processes.errors import IntegrityError, UsageError


@dataclass(frozen=True)
class EvidenceStore:
    """An open ledger with its attachments, the key that signs here, and whose measurements are trusted."""

    ledger: Ledger
    attachments: AttachmentStore
    key: Ed25519PrivateKey
    trusted: tuple[Signer, ...]
    collectors_file: Path

    def record(self, subject: Subject, collector: str, inputs: Mapping[str, str], measurement: Measurement) -> Record:
        """Sign a measurement and append it; its attachments are stored first.

        A crash in between leaves attachments that no record names: they do no harm.
        """
        attachments = [
            Attachment(a.name, a.media_type, self.attachments.put(a.content), len(a.content))
            for a in measurement.attachments
        ]
        envelope = sign(build_statement(subject, collector, inputs, measurement, attachments), self.key)
        own, record_id = [Signer((), self.key.public_key())], hashlib.sha256(envelope).hexdigest()
        record = read_envelope(envelope, own, record_id=record_id, sequence=0, act=False)  # or it is not appended
        row = self.ledger.append(envelope, subject=subject.digest, collector=collector, kind=measurement.kind)
        for attachment in measurement.attachments:
            # Retention may have removed the same content while no record of ours named it yet; it never will from now.
            self.attachments.put(attachment.content)
        return replace(record, sequence=row.sequence)

    def append_act(self, envelope: bytes) -> Record:
        """Append what a person signed, as it is. Raises IntegrityError when it is no act that its own key signed."""
        act = read_act(envelope)
        row = self.ledger.append(envelope, subject=act.subject.digest, collector=act.collector, kind=act.kind)
        return replace(act, sequence=row.sequence)

    def read(self, row: Row) -> Record:
        """The verified record of a row. Raises IntegrityError, also when its content was removed."""
        if row.envelope is None:
            raise IntegrityError("its content is missing")
        act = row.kind in ACTS
        record = read_envelope(row.envelope, self.trusted, record_id=row.record_id, sequence=row.sequence, act=act)
        if (row.subject, row.collector, row.kind) != (record.subject.digest, record.collector, record.kind):
            raise IntegrityError("the ledger files it under another subject, collector or kind than it states")
        return record

    def records(self, subject: str) -> tuple[list[Record], list[str]]:
        """The verified records of a subject's digest, and the ids of those that do not verify.

        Records that retention removed are in neither; one whose content is gone without that does not verify.
        """
        good, bad, empty = [], [], []
        for row in self.ledger.rows(subject=subject):
            if row.envelope is None:
                empty.append(row)
                continue
            try:
                good.append(self.read(row))
            except IntegrityError:
                bad.append(row.record_id)
        removed = self.removed() if empty else {}
        return good, bad + [row.record_id for row in empty if not was_removed(row, removed)]

    def removed(self) -> dict[str, RemovedRecord]:
        """What retention removed, or is about to remove, by record id."""
        named: dict[str, RemovedRecord] = {}
        for row in self.ledger.rows(kind="retention"):
            try:
                result = self.read(row).result
            except IntegrityError:
                continue  # it names nothing: what it would have excused is then missing
            if isinstance(result, RetentionResult):
                named.update((removed.record_id, removed) for removed in result.removed)
        return named


def read_envelope(envelope: bytes, trusted: Collection[Signer], *, record_id: str, sequence: int, act: bool) -> Record:
    """The verified record of an envelope. Raises IntegrityError.

    Measurements must be signed by a trusted collector, at a time when its key might. An ``act`` is signed by a person,
    with the key that it names: it is as the holder of that key left it, and whether the key speaks for anybody is
    decided where the act is used.
    """
    signers = [Signer((), _key_of_act(envelope))] if act else trusted
    statement, signed_by = verify(envelope, [signer.key for signer in signers])
    record = parse_statement(statement, record_id=record_id, sequence=sequence, signed_by=signed_by)
    if isinstance(record.result, Act) and key_id(parse_public_text(record.result.public_key)) != signed_by:
        raise IntegrityError("is not signed by the key that it names")
    if not any(key_id(s.key) == signed_by and s.valid_at(record.finished_at) for s in signers):
        raise IntegrityError("was signed at a time when its key was not allowed")
    if (record.kind in ACTS) != act:
        raise IntegrityError(f"is {record.kind} evidence, filed as something else")
    return record


def read_act(envelope: bytes) -> Record:
    """The verified record of an act that is in no ledger yet: its sequence is 0. Raises IntegrityError."""
    return read_envelope(envelope, (), record_id=hashlib.sha256(envelope).hexdigest(), sequence=0, act=True)


def stated_kind(envelope: bytes) -> str:
    """The kind that an unverified envelope says it is; ``read_envelope`` refuses one that says so wrongly."""
    try:
        statement = unverified_payload(envelope)
        suite = statement["predicateType"] == TEST_RESULT_TYPE
        return str((statement["predicate"]["gonogo"] if suite else statement["predicate"])["kind"])
    except (KeyError, TypeError, AttributeError) as error:
        raise IntegrityError("states no kind of evidence") from error


def _key_of_act(envelope: bytes) -> Ed25519PublicKey:
    try:
        text = unverified_payload(envelope)["predicate"]["result"]["public_key"]
    except (KeyError, TypeError) as error:
        raise IntegrityError("names no key that signed it") from error
    if not isinstance(text, str):
        raise IntegrityError("names no key that signed it")
    return parse_public_text(text)


def open_existing_store(home: Path) -> EvidenceStore:
    """Open the store in ``home`` to look into it; nothing is made. Raises UsageError when there is none."""
    if not (home / "keys" / "collector.pub").is_file():
        raise UsageError(f"{home}: there is no ledger here (--home names another place)")
    if not os.environ.get("GONOGO_DATABASE_URL") and not (home / "ledger.sqlite").is_file():
        raise UsageError(f"{home}: the ledger is gone: ledger.sqlite is not there")
    return open_store(home)


def open_store(home: Path) -> EvidenceStore:
    """Open (or start) the store in ``home``; ``GONOGO_DATABASE_URL`` and ``GONOGO_ATTACHMENTS_URL`` override parts."""
    home.mkdir(parents=True, exist_ok=True)
    key = load_or_create_key(home / "keys" / "collector")
    collectors_file = home / "keys" / "collectors.allowed"
    return EvidenceStore(
        ledger=Ledger(database_url(home)),
        attachments=AttachmentStore(os.environ.get("GONOGO_ATTACHMENTS_URL") or str(home / "attachments")),
        key=key,
        trusted=_collectors(collectors_file, key),
        collectors_file=collectors_file,
    )


def database_url(home: Path) -> str:
    """Where the ledger of a home and its rollouts are kept."""
    return os.environ.get("GONOGO_DATABASE_URL") or f"sqlite:///{home / 'ledger.sqlite'}"


def _collectors(path: Path, own: Ed25519PrivateKey) -> tuple[Signer, ...]:
    """Whose measurements count here: at first this home's own; lines of other machines are added by hand."""
    if not path.exists():
        publish(path, line_of(["collector"], public_text(own.public_key())).encode(), mode=0o644)
    return read_allowed_signers(path)
