"""What a plan's ``collect`` section may ask for of a rollout: its rehearsal, and what it leaves in production."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from decision.collect_part import CollectPart
from decision.quantities import DurationS, RateOfOne


class RolloutCollect(CollectPart):
    """Rehearse the plan's rollout on live traffic, with short stages but the plan's limits and numbers of requests."""

    uses = frozenset({"targets", "slo", "rollout"})
    kind: Literal["rollout"]
    mode: Literal["rehearsal"] = "rehearsal"
    users: Path
    journey: str
    rate: RateOfOne
    timeout: DurationS = 600.0

    def files(self) -> tuple[Path, ...]:
        """The inputs, and the users."""
        return (*self.inputs, self.users)


class StageCollect(CollectPart):
    """What a stage of the real rollout has shown. Its ticks record it; ``authorize`` never measures it."""

    kind: Literal["rollout"]
    mode: Literal["production"]
    stage: str


class AbTestCollect(CollectPart):
    """What the A/B test of a stage of the real rollout has shown. Its ticks record it; nothing else measures it."""

    kind: Literal["ab-test"]
    stage: str


LivedCollect = StageCollect | AbTestCollect
"""What only a rollout in production can record."""


def _mode_of(value: Any) -> str:
    mode = value.get("mode", "rehearsal") if isinstance(value, dict) else getattr(value, "mode", "")
    return mode if mode in ("rehearsal", "production") else "rehearsal"


AnyRolloutCollect = Annotated[
    Annotated[RolloutCollect, Tag("rehearsal")] | Annotated[StageCollect, Tag("production")], Discriminator(_mode_of)
]
