"""The ledger as the ticks of one rollout use it: what a stage has shown is signed under the plan's own collectors."""

from dataclasses import dataclass

from decision.ab_metrics import Outcomes
from decision.collect_rollout import LivedCollect
from decision.inputs import inputs_of_stage
from decision.objectives import Stage
from decision.plan_file import PlanFile
from evidence.measurement import Measurement
from evidence.results import Result
from evidence.store import EvidenceStore
from rollouts.outcomes import fetch_outcomes
from rollouts.stage_evidence import StageKind
from rollouts.started import Started


@dataclass(frozen=True)
class LedgerEvidence:
    """See ``StageEvidence``. The plan as it is now says which collectors there are, and where outcomes' paths start."""

    plan_file: PlanFile
    store: EvidenceStore
    rollout_id: str
    started: Started

    def asks_for(self, stage: Stage) -> bool:
        """See ``StageEvidence``."""
        return self._collector("rollout", stage) is not None

    def signed(self, kind: StageKind, entry: int) -> Result | None:
        """See ``StageEvidence``."""
        records, _ = self.store.records(self.started.subject.digest)
        of_entry = {"rollout_id": self.rollout_id, "entry": entry}
        return next((r.result for r in records if r.kind == kind and of_entry.items() <= r.parameters.items()), None)

    def sign(self, stage: Stage, kind: StageKind, measurement: Measurement) -> None:
        """See ``StageEvidence``. What no collector of the plan asks for is kept under a name of its own."""
        collector = self._collector(kind, stage)
        if collector is None:
            collector, inputs = f"{kind}-of-{stage.name}", {"plan": f"sha256:{self.started.plan_digest}"}
        else:
            inputs = inputs_of_stage(self.plan_file, collector, stage, self.started.slo)
        self.store.record(self.started.subject, collector, inputs, measurement)

    def outcomes(self, outcomes: Outcomes, timeout_s: float) -> bytes:
        """See ``StageEvidence``."""
        return fetch_outcomes(outcomes, self.plan_file.base, timeout_s)

    def _collector(self, kind: StageKind, stage: Stage) -> str | None:
        collectors = self.plan_file.plan.collect.items()
        lived = ((name, c) for name, c in collectors if isinstance(c, LivedCollect))
        return next((name for name, c in lived if (c.kind, c.stage) == (kind, stage.name)), None)
