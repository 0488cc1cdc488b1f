"""``gonogo authorize``: the main job."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_text
from cli.progress import progress_on_stderr
from decision.collect import is_measured_here
from decision.levels import Level
from decision.plan_file import PlanFile, read_plan
from evidence.store import open_store
from flows.authorization import Pending, pending
from flows.measuring import profile_of
from flows.progress import report_progress
from flows.reporting import decide_and_record
from processes.errors import UsageError
from reports.render import render_html, render_json


def authorize(
    plan: Path,
    *,
    level: Level = "full",
    profile: str = "quick",
    output: Path | None = None,
    rerun: Annotated[Sequence[str], Parameter(negative="")] = (),
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Run what is missing or stale, decide, and print the authorization report.

    Exit code: 0 GO, 10 CONDITIONAL GO, 20 NO-GO, 30 HOLD.

    Parameters
    ----------
    plan
        The release plan.
    level
        The authorization level asked for.
    profile
        How long load and soak take: a profile of the plan.
    output
        Where the report's files go (default: reports/ in the home).
    rerun
        Measure this collector again although its evidence is fresh (may be repeated).
    """
    started_at = datetime.now(UTC)
    plan_file = read_plan(plan)
    profile_of(plan_file, profile)
    if unknown := sorted(set(rerun) - set(plan_file.plan.collect)):
        raise UsageError(f"--rerun {unknown[0]}: the plan collects {', '.join(plan_file.plan.collect)}")
    if others := [name for name in rerun if not is_measured_here(plan_file.plan.collect[name])]:
        raise UsageError(f"--rerun {others[0]}: is not measured here: its results are added, or the rollout records it")
    home = home.resolve()
    store = open_store(home)
    with progress_on_stderr():
        missing, fresh = pending(plan_file, store, profile=profile, rerun=rerun)
        for record in fresh:
            report_progress(record.collector, 1.0, f"reused, measured {record.finished_at:%Y-%m-%d %H:%M} UTC")
        failures = _measure(plan_file, missing, profile, home) if missing else {}
    decided = decide_and_record(
        plan_file,
        store,
        level=level,
        failures=failures,
        reused=[record.collector for record in fresh],
        began_at=started_at,
        home=home,
    )
    view, text = decided.view, decided.text
    folder = (output or home / "reports" / plan_file.plan.release).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("txt", text), ("html", render_html(view)), ("json", render_json(view))):
        (folder / f"report.{name}").write_text(content, encoding="utf-8")
    if json:
        print(render_json(view))
    else:
        print_text(text)
        print_text(f"Report: {os.path.relpath(folder)}/report.txt, report.html, report.json")
    return decided.decision.exit_code


def _measure(plan_file: PlanFile, missing: Sequence[Pending], profile: str, home: Path) -> dict[str, str]:
    """Run the missing collectors as Prefect flows, on an embedded API where none is given."""
    from flows.orchestrator import orchestrator, wait_for_orchestrator

    for item in missing:
        report_progress(item.collector, None, f"to be measured: {item.why}")
    with orchestrator(home) as server:
        report_progress("prefect", 0.0, "starts")
        # Heavy imports, beside the server's start.
        from prefect.exceptions import TerminationSignal

        from flows.collect import collect

        wait_for_orchestrator(server)
        report_progress("prefect", 1.0, "ready")
        try:
            return collect(plan_file.path, [item.collector for item in missing], profile=profile, home=home)
        except TerminationSignal as error:  # Prefect's own word for SIGTERM
            raise KeyboardInterrupt from error
