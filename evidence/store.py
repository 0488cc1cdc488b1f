"""Where evidence lives: ledger, attachments and signing key of one working folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from evidence.attachments import AttachmentStore
from evidence.dsse import key_id, sign, verify
from evidence.keys import load_or_create_key, load_public_key
from evidence.ledger import Ledger, Row
from evidence.measurement import Measurement
from evidence.record import Attachment, Record, Subject
from evidence.results import RemovedRecord, RetentionResult
from evidence.retention import was_removed
from evidence.statement import build_statement, parse_statement
from processes.errors import IntegrityError, UsageError


@dataclass(frozen=True)
class EvidenceStore:
    """An open ledger with its attachments, the key that signs here, and the keys that are trusted."""

    ledger: Ledger
    attachments: AttachmentStore
    key: Ed25519PrivateKey
    trusted: tuple[Ed25519PublicKey, ...]

    def record(self, subject: Subject, collector: str, inputs: Mapping[str, str], measurement: Measurement) -> Record:
        """Sign a measurement and append it; its attachments are stored first.

        A crash in between leaves attachments that no record names: they do no harm.
        """
        attachments = [
            Attachment(a.name, a.media_type, self.attachments.put(a.content), len(a.content))
            for a in measurement.attachments
        ]
        statement = build_statement(subject, collector, inputs, measurement, attachments)
        envelope = sign(statement, self.key)
        row = self.ledger.append(envelope, subject=subject.digest, collector=collector, kind=measurement.kind)
        for attachment in measurement.attachments:
            # Retention may have removed the same content while no record of ours named it yet; it never will from now.
            self.attachments.put(attachment.content)
        return parse_statement(
            statement, record_id=row.record_id, sequence=row.sequence, signed_by=key_id(self.key.public_key())
        )

    def read(self, row: Row) -> Record:
        """The verified record of a row. Raises IntegrityError, also when its content was removed."""
        if row.envelope is None:
            raise IntegrityError("its content is missing")
        statement, signed_by = verify(row.envelope, self.trusted)
        return parse_statement(statement, record_id=row.record_id, sequence=row.sequence, signed_by=signed_by)

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
    return EvidenceStore(
        ledger=Ledger(os.environ.get("GONOGO_DATABASE_URL") or f"sqlite:///{home / 'ledger.sqlite'}"),
        attachments=AttachmentStore(os.environ.get("GONOGO_ATTACHMENTS_URL") or str(home / "attachments")),
        key=key,
        trusted=(load_public_key(home / "keys" / "collector.pub"),),
    )
