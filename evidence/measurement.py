"""What a collector hands over: one measurement, not yet bound to a subject or signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from evidence.kinds import KIND_OF
from evidence.results import ContractResult, DrillResult, Result

Outcome = Literal["passed", "failed", "inconclusive", "errored"]
"""passed and failed speak of the collector's own checks; inconclusive: too little was seen; errored: nothing valid."""


@dataclass(frozen=True)
class LeftOut:
    """Something that was in scope and not measured. A denominator is never made smaller silently."""

    what: str
    count: int
    why: str


@dataclass(frozen=True)
class AttachmentContent:
    """Raw material of a measurement, kept with the evidence under its sha256."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Measurement:
    """A result of one kind with the window it was measured in (aware UTC times)."""

    result: Result
    outcome: Outcome
    summary: str
    started_at: datetime
    finished_at: datetime
    parameters: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[LeftOut] = ()
    attachments: Sequence[AttachmentContent] = ()

    @property
    def kind(self) -> str:
        """The kind of evidence, from the type of the result."""
        return KIND_OF[type(self.result)]


def outcome_of_checks(result: ContractResult | DrillResult) -> Outcome:
    """The outcome of what is made of checks: one that failed fails all of it."""
    return "failed" if result.failed else "passed"
