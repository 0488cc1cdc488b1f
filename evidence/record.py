"""A record: one measurement bound to its subject, as it stands in the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from evidence.kinds import KIND_OF
from evidence.measurement import LeftOut, Outcome
from evidence.results import Result


@dataclass(frozen=True)
class Subject:
    """What evidence speaks of. ``digest`` is ``algorithm:hex``; ``commit`` is None outside a git repository."""

    name: str
    version: str
    digest: str
    commit: str | None = None


@dataclass(frozen=True)
class Attachment:
    """A file kept with the evidence; ``sha256`` in hex is its only identity."""

    name: str
    media_type: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Record:
    """A signed record. ``record_id`` is the sha256 (hex) of its envelope; ``inputs`` maps each input that the
    measurement depended on besides the subject to its digest; times are aware UTC."""

    record_id: str
    sequence: int
    subject: Subject
    collector: str
    inputs: Mapping[str, str]
    result: Result
    outcome: Outcome
    summary: str
    started_at: datetime
    finished_at: datetime
    parameters: Mapping[str, str | int | float | bool | None]
    tools: Mapping[str, str]
    left_out: tuple[LeftOut, ...]
    attachments: tuple[Attachment, ...]
    signed_by: str

    @property
    def kind(self) -> str:
        """The kind of evidence."""
        return KIND_OF[type(self.result)]
