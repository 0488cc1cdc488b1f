"""The flow that advances a real rollout, for a schedule on a Prefect server."""

import time
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.staged_rollout import current_rollout, tick_once
from processes.wait import wait_for
from rollouts.exclusive import AnotherAtWork


@flow(name="rollout-tick", flow_run_name="rollout-tick {plan}")
def rollout_tick(plan: Path, home: Path = Path(".gonogo"), keep_on_s: float = 50.0) -> State[None]:
    """Tick once a second for ``keep_on_s`` seconds; ends as Frozen or Rolled back (failed states) when it is that."""
    until_s = time.monotonic() + keep_on_s
    with current_rollout(plan, home.resolve()) as staged:
        while True:
            try:
                ticked = tick_once(staged)
            except AnotherAtWork as error:
                return Completed(message=str(error))
            if time.monotonic() >= until_s or ticked.state.recorded:
                break
            due_s = time.monotonic() + 1.0
            wait_for(lambda: time.monotonic() >= due_s, what="the next tick", timeout_s=60)  # noqa: B023 - waited here
    if ticked.state.outcome in ("rolled-back", "aborted"):
        return Failed(name="Rolled back", message=ticked.state.why)
    if ticked.state.hold == "frozen":
        return Failed(name="Frozen", message=ticked.state.why)
    return Completed(message=ticked.waits.why)
