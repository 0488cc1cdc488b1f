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
        """Sign a measurement and append it; its attachments are stored first."""
        attachments = [
            Attachment(a.name, a.media_type, self.attachments.put(a.content), len(a.content))
            for a in measurement.attachments
        ]
        statement = build_statement(subject, collector, inputs, measurement, attachments)
        envelope = sign(statement, self.key)
        row = self.ledger.append(envelope, subject=subject.digest, collector=collector, kind=measurement.kind)
        return parse_statement(
            statement, record_id=row.record_id, sequence=row.sequence, signed_by=key_id(self.key.public_key())
        )

    def read(self, row: Row) -> Record:
        """The verified record of a row. Raises IntegrityError."""
        statement, signed_by = verify(row.envelope, self.trusted)
        return parse_statement(statement, record_id=row.record_id, sequence=row.sequence, signed_by=signed_by)

    def records(self, subject: str) -> tuple[list[Record], list[str]]:
        """The verified records of a subject's digest, and the ids of those that do not verify."""
        good, bad = [], []
        for row in self.ledger.rows(subject=subject):
            try:
                good.append(self.read(row))
            except IntegrityError:
                bad.append(row.record_id)
        return good, bad


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
