"""``gonogo soak``: a soak of days that survives whatever happens to it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_json, print_text
from cli.progress import progress_on_stderr
from evidence.record import Record
from evidence.soak_result import SoakResult
from flows.soaking import (
    SoakStep,
    record_stopped,
    resume_soak,
    soak_status,
    soak_step,
    start_soak,
    stop_soak,
)
from loadtests.soak import SoakStopped
from loadtests.soak_status import SoakStatus, result_lines, status_json, status_lines

INTERRUPTED = 130

EXIT_CODE = {"passed": 0, "failed": 20, "inconclusive": 30, "errored": 30}
"""By the outcome of a soak that was recorded."""

app = App(name="soak", help="Soak a target for as long as the profile says, through every interruption.")

Collect = Annotated[str | None, Parameter(help="Which soak of the plan (default: its only one).")]
Profile = Annotated[str, Parameter(help="How long: a profile of the plan.")]


@app.command
def start(
    plan: Path,
    *,
    collect: Collect = None,
    profile: Profile = "full",
    again: Annotated[bool, Parameter(negative="")] = False,
    home: Home = DEFAULT_HOME,
) -> int:
    """Start a soak and stay with it; Ctrl-C ends its segment, and resume goes on.

    Exit code: 0 passed, 20 failed, 30 inconclusive, 130 interrupted.

    Parameters
    ----------
    again
        Although a finished soak is fresh.
    """
    step = soak_step(plan, collect, profile, home.resolve())
    return _run(step, plan, profile, lambda: start_soak(step, profile=profile, again=again))


@app.command
def resume(plan: Path, *, collect: Collect = None, profile: Profile = "full", home: Home = DEFAULT_HOME) -> int:
    """Go on with an unfinished soak; also what a service does when the machine has started. Exit codes as start."""
    step = soak_step(plan, collect, profile, home.resolve())
    return _run(step, plan, profile, lambda: resume_soak(step))


@app.command
def status(
    plan: Path, *, collect: Collect = None, profile: Profile = "full", home: Home = DEFAULT_HOME, json: Json = False
) -> int:
    """Say where a soak stands, and when its answer is expected."""
    step = soak_step(plan, collect, profile, home.resolve())
    _print_status(step, json=json)
    return 0


@app.command
def stop(
    plan: Path,
    *,
    collect: Collect = None,
    profile: Profile = "full",
    record: Annotated[bool, Parameter(negative="")] = False,
    home: Home = DEFAULT_HOME,
) -> int:
    """Stop a running soak; it can be resumed.

    Parameters
    ----------
    record
        End it for good, and record what was measured with its true length.
    """
    step = soak_step(plan, collect, profile, home.resolve())
    stopped = stop_soak(step)
    ended = soak_status(step) if stopped == "it ended" else None
    if record and isinstance(ended, Record):
        return _print_record(ended)
    if record:
        with progress_on_stderr():
            return _print_record(record_stopped(step))
    go_on = f"gonogo soak resume {plan}{_options(step, profile)}"
    said = {
        "stopped": f"stopped; go on with: {go_on}",
        "it ended": "it had ended before it could be stopped",
        "nobody ran it": "nobody runs it",
    }
    print_text(f"{step.name}: {said[stopped]}")
    _print_status(step, json=False)
    return 0


def _run(step: SoakStep, plan: Path, profile: str, soak: Callable[[], Record]) -> int:
    how = f"gonogo soak resume {plan}{_options(step, profile)}"
    try:
        with progress_on_stderr():
            record = soak()
    except (SoakStopped, KeyboardInterrupt) as stopped:
        said = str(stopped) or "interrupted; everything that was started is stopped"
        print(f"gonogo: {step.name}: {said}; go on with: {how}", file=sys.stderr)
        return INTERRUPTED
    return _print_record(record)


def _options(step: SoakStep, profile: str) -> str:
    """What of the command line must be said again."""
    several = sum(collect.kind == "soak" for collect in step.plan.collect.values()) > 1
    collect = f" --collect {step.name}" if several else ""
    home = "" if step.home == DEFAULT_HOME.resolve() else f" --home {step.home}"
    return collect + ("" if profile == "full" else f" --profile {profile}") + home


def _print_status(step: SoakStep, *, json: bool) -> None:
    found = soak_status(step)
    if json:
        print_json(_json(found))
        return
    if found is None:
        print_text(f"{step.name}: no soak of this subject, inputs and profile has begun")
        return
    lines = status_lines(found) if isinstance(found, SoakStatus) else _record_lines(found)
    print_text("\n".join([f"{step.name} of {step.subject.name} {step.subject.version}", *lines]))


def _json(found: SoakStatus | Record | None) -> Mapping[str, Any]:
    if found is None:
        return {"state": "not begun"}
    if isinstance(found, SoakStatus):
        return status_json(found)
    result = found.result.model_dump(mode="json")
    return {"state": "recorded", "record_id": found.record_id, "outcome": found.outcome, "result": result}


def _print_record(record: Record) -> int:
    print_text("\n".join(_record_lines(record)))
    return EXIT_CODE[record.outcome]


def _record_lines(record: Record) -> list[str]:
    name = f"{record.record_id[:12]}, measured until {record.finished_at:%Y-%m-%d %H:%M} UTC"
    shown = result_lines(record.result) if isinstance(record.result, SoakResult) else []
    return [f"{'recorded':<13} {name}", f"{'outcome':<13} {record.outcome}: {record.summary}", *shown]
