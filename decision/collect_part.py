"""What all parts of a plan's ``collect`` section share."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class CollectPart(BaseModel):
    """What all kinds share. ``uses`` names the parts of the plan that the measurement depends on besides its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    uses: ClassVar[frozenset[Literal["targets", "slo", "rollout"]]] = frozenset()

    owner: str = Field(default="operator", description="the person of the plan who sees to it")
    inputs: tuple[Path, ...] = Field(
        default=(), description="files and folders that the measurement depends on besides the subject"
    )

    def files(self) -> tuple[Path, ...]:
        """The files and folders, relative to the plan, that the measurement reads besides the subject."""
        return self.inputs
