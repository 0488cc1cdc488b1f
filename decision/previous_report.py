"""What an earlier report of the release said, statement by statement, and what became of each."""

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_LINES = re.compile(r"\d+(-\d+)?(, \d+(-\d+)?)*")


class Statement(BaseModel):
    """A statement in the earlier report's words, and its ``lines`` there. It became exactly one of three things.

    ``claims`` are the plan's claims that stand in its place; ``derived`` says which part of the report computes it;
    ``dropped`` says why nothing replaces it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lines: str = Field(coerce_numbers_to_str=True)
    says: str = Field(min_length=1)
    claims: tuple[str, ...] = ()
    derived: str = ""
    dropped: str = ""

    @field_validator("lines")
    @classmethod
    def _are_lines(cls, lines: str) -> str:
        if not _LINES.fullmatch(lines):
            raise ValueError(f"expected lines such as 22, 62-64 or '6, 89', not {lines!r}")
        return lines

    @model_validator(mode="after")
    def _became_one_thing(self) -> "Statement":
        if [bool(self.claims), bool(self.derived.strip()), bool(self.dropped.strip())].count(True) != 1:
            raise ValueError("expected exactly one of claims, derived and dropped, and not empty")
        return self


class PreviousReport(BaseModel):
    """The earlier report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    statements: tuple[Statement, ...]

    @model_validator(mode="after")
    def _said_something(self) -> "PreviousReport":
        if not self.statements:
            raise ValueError("expected at least one statement")
        return self
