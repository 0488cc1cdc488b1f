"""``gonogo report``: render the report again without running anything."""

from pathlib import Path
from typing import Literal

from cli.options import DEFAULT_HOME, Home
from cli.output import print_text
from decision.levels import Level
from decision.plan_file import read_plan
from evidence.store import open_store
from flows.authorization import conclude
from flows.reporting import report_view, run_facts
from reports.render import render_html, render_json, render_text

_RENDERERS = {"text": render_text, "html": render_html, "json": render_json}


def report(
    plan: Path, *, level: Level = "full", format: Literal["text", "html", "json"] = "text", home: Home = DEFAULT_HOME
) -> int:
    """Decide on the evidence that the ledger holds now and print the report; runs and records nothing.

    Exit code: 0 GO, 10 CONDITIONAL GO, 20 NO-GO, 30 HOLD.
    """
    plan_file = read_plan(plan)
    home = home.resolve()
    store = open_store(home)
    conclusion = conclude(plan_file, store, level=level)
    run = run_facts(conclusion, store, home, began_at=None)
    print_text(_RENDERERS[format](report_view(plan_file, store, conclusion, run)))
    return conclusion.decision.exit_code
