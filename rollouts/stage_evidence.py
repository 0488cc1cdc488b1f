"""Where a tick signs what a stage has shown, and where it reads the outcomes of users from."""

from typing import Literal, Protocol

from decision.ab_metrics import Outcomes
from decision.objectives import Stage
from evidence.measurement import Measurement
from evidence.results import Result

StageKind = Literal["rollout", "ab-test"]


class StageEvidence(Protocol):
    """The ledger as one rollout uses it. Methods raise GonogoErrors of the ledger."""

    def asks_for(self, stage: Stage) -> bool:
        """Whether the plan has a collector for what this stage shows in production."""

    def signed(self, kind: StageKind, entry: int) -> Result | None:
        """What was signed for an entry of the journal; None when nothing was: a tick may have died before."""

    def sign(self, stage: Stage, kind: StageKind, measurement: Measurement) -> None:
        """Sign a measurement whose parameter ``entry`` names the journal's entry that it is for."""

    def outcomes(self, outcomes: Outcomes, timeout_s: float) -> bytes:
        """The CSV of all users. Raises InputError when it cannot be had within ``timeout_s``."""
