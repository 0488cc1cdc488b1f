"""From what the ledger holds to the report: shown again, or decided, recorded and shown. No Prefect here."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from decision.decide import Decision
from decision.inputs import subject_of
from decision.levels import Level
from decision.plan_file import PlanFile
from evidence.store import EvidenceStore
from flows.authorization import Conclusion, conclude, record_decision
from flows.earlier import earlier_records
from reports.render import render_text
from reports.run_facts import RunFacts
from reports.view import ReportView, build_view


@dataclass(frozen=True)
class Decided:
    """A recorded decision, and its report as a view and as the text whose digest was recorded."""

    decision: Decision
    view: ReportView
    text: str


def decide_and_record(
    plan_file: PlanFile,
    store: EvidenceStore,
    *,
    level: Level,
    failures: Mapping[str, str],
    reused: Sequence[str],
    began_at: datetime,
    home: Path,
) -> Decided:
    """Decide on what the ledger holds now, for a run that began at ``began_at``, and record the decision."""
    conclusion = conclude(plan_file, store, level=level, failures=failures, reused=reused)
    view = report_view(plan_file, store, conclusion, run_facts(conclusion, store, home, began_at=began_at))
    text = render_text(view)
    record_decision(plan_file, store, conclusion, text, began_at)
    return Decided(conclusion.decision, view, text)


def report_view(plan_file: PlanFile, store: EvidenceStore, conclusion: Conclusion, run: RunFacts) -> ReportView:
    """The report of a conclusion, beside the subjects before it that the ledger holds."""
    earlier = earlier_records(plan_file.plan, subject_of(plan_file), store)
    return build_view(plan_file, conclusion.decision, conclusion.records, run, earlier)


def run_facts(conclusion: Conclusion, store: EvidenceStore, home: Path, *, began_at: datetime | None) -> RunFacts:
    """Facts for the report of a run that began at ``began_at``; None: nothing was measured for it."""
    return RunFacts.of(
        conclusion.records,
        began_at=began_at,
        home=os.path.relpath(home),
        ledger=store.ledger.engine.url.render_as_string(hide_password=True),
    )
