"""``gonogo rollout``: take a release to production, tick by tick."""

import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_json, print_text
from decision.plan_file import read_plan
from decision.quantities import parse_duration_s
from decision.rollout_spec import GatewayRouter
from flows.rollout_status import status_of, status_text
from flows.staged_rollout import Staged, Ticked, current_rollout, order, start, tick_once
from processes.errors import UsageError
from processes.wait import wait_for
from rollouts.exclusive import AnotherAtWork, only_one_at
from rollouts.open_running import configuration_of, run_router

ROLLED_BACK, FROZEN = 20, 30

app = App(name="rollout", help="Take a release to production in stages: start it, and let ticks advance it.")

Why = Annotated[str, Parameter(name="--reason", help="Why; it stands in the journal.")]


@app.command(name="start")
def start_rollout(plan: Path, *, why: Why = "", home: Home = DEFAULT_HOME, json: Json = False) -> int:
    """Take up a rollout that is authorized for its first stage. No traffic moves before the first tick.

    Parameters
    ----------
    plan
        The release plan.
    """
    rollout_id = start(plan, home.resolve(), _one_line(why) or "started by hand")
    if json:
        print_json({"rollout_id": rollout_id})
    else:
        print_text(f"rollout {rollout_id} is started; gonogo rollout tick {plan} advances it")
    return 0


@app.command
def status(plan: Path, *, home: Home = DEFAULT_HOME, json: Json = False) -> int:
    """Show the stage, what was seen in it, what the judge says, and what the rollout waits for.

    Parameters
    ----------
    plan
        The release plan.
    """
    with current_rollout(plan, home.resolve()) as staged:
        facts = status_of(staged)
    if json:
        print_json(facts)
    else:
        print_text(status_text(facts, datetime.now(UTC)))
    return 0


@app.command
def tick(
    plan: Path,
    *,
    keep_on: Annotated[str | None, Parameter(name="--for")] = None,
    every: str = "1s",
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Observe, judge and act once, and renew the lease. A second tick at the same time ends at once.

    Exit code: 0 under way or completed, 20 rolled back or aborted, 30 frozen.

    Parameters
    ----------
    plan
        The release plan.
    keep_on
        Tick again and again for so long (such as 1m), so that harm is seen within seconds.
    every
        How often then.
    """
    for_s, every_s = (0.0 if keep_on is None else _seconds("--for", keep_on)), _seconds("--every", every)
    if every_s <= 0:
        raise UsageError(f"--every {every}: expected more than no time")
    until_s = time.monotonic() + for_s
    with current_rollout(plan, home.resolve()) as staged:
        while True:
            due_s = time.monotonic() + every_s
            try:
                ticked = tick_once(staged)
            except AnotherAtWork as error:
                print(f"gonogo: {error}", file=sys.stderr)
                return 0
            _tell(staged, ticked)
            over = ticked.state.ended and ticked.state.recorded
            if over or due_s >= until_s:
                break
            wait_for(partial(_is_past, due_s), what="the next tick", timeout_s=every_s + 60)
        if json:
            print_json(status_of(staged))
        else:
            print_text(f"{staged.rollout_id}: {ticked.waits.why}")
    if ticked.state.outcome in ("rolled-back", "aborted"):
        return ROLLED_BACK
    return FROZEN if ticked.state.hold == "frozen" else 0


@app.command
def pause(plan: Path, *, why: Why = "", home: Home = DEFAULT_HOME) -> int:
    """Keep share and lease and judge on, but promote nothing. Ticks must go on.

    Parameters
    ----------
    plan
        The release plan.
    """
    return _order(plan, home, "pause", why)


@app.command
def resume(plan: Path, *, why: Why = "", home: Home = DEFAULT_HOME) -> int:
    """Go on after a pause or a freeze; after a freeze the stage is judged from now on.

    Parameters
    ----------
    plan
        The release plan.
    """
    return _order(plan, home, "resume", why)


@app.command
def abort(
    plan: Path,
    *,
    why: Why = "",
    despite_irreversible: Annotated[bool, Parameter(negative="")] = False,
    home: Home = DEFAULT_HOME,
) -> int:
    """Take everything to stable and end the rollout.

    Parameters
    ----------
    plan
        The release plan.
    despite_irreversible
        Go back although the plan says that there is no way back.
    """
    _order(plan, home, "abort", why, despite_irreversible=despite_irreversible)
    return tick(plan, home=home)


@app.command
def router(plan: Path, *, print_only: Annotated[bool, Parameter(name="--print", negative="")] = False) -> int:
    """Become the router that the plan names, in the foreground: for a service of its own.

    Parameters
    ----------
    plan
        The release plan.
    print_only
        Print its configuration instead.
    """
    plan_file = read_plan(plan)
    spec = plan_file.plan.rollout.router
    if spec is None:
        raise UsageError(f"{plan}: rollout.router is missing")
    if not print_only:
        if not isinstance(spec, GatewayRouter):
            only_one_at((plan_file.base / spec.control).resolve())
        run_router(spec, plan_file.base)
    print(configuration_of(spec, plan_file.base))
    return 0


def _order(plan: Path, home: Path, what: str, why: str, *, despite_irreversible: bool = False) -> int:
    reason = _one_line(why)
    if not reason:
        raise UsageError("say with --reason why")
    with current_rollout(plan, home.resolve()) as staged:
        order(staged, what, reason, despite_irreversible=despite_irreversible)
        print_text(f"{staged.rollout_id}: {what}: {reason}")
    return 0


def _one_line(why: str) -> str:
    """A reason as it may stand in journals, terminals and notifications. Raises UsageError."""
    reason = " ".join(why.split())
    if not reason.isprintable():
        raise UsageError("--reason: expected text without control characters")
    return reason


def _tell(staged: Staged, ticked: Ticked) -> None:
    for entry in ticked.told:
        print(
            f"gonogo: {staged.rollout_id}: {entry.action} {entry.stage}: {entry.detail.get('why', '')}", file=sys.stderr
        )
    if ticked.not_told:
        print(f"gonogo: nobody could be notified, the next tick tries again: {ticked.not_told}", file=sys.stderr)


def _is_past(due_s: float) -> bool:
    return time.monotonic() >= due_s


def _seconds(option: str, text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from error
