"""What a report says about the run that made it."""

import os
from datetime import datetime
from pathlib import Path

from evidence.store import EvidenceStore
from flows.authorization import Conclusion
from reports.run_facts import RunFacts


def run_facts(conclusion: Conclusion, store: EvidenceStore, home: Path, *, began_at: datetime | None) -> RunFacts:
    """Facts for the report of a run that began at ``began_at``; None: nothing was measured for it."""
    return RunFacts.of(
        conclusion.records,
        began_at=began_at,
        home=os.path.relpath(home),
        ledger=store.ledger.engine.url.render_as_string(hide_password=True),
    )
