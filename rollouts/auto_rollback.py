"""Whether the judge took a bad candidate back by itself: a rehearsed rollout, read as a drill."""

from collections.abc import Mapping
from dataclasses import replace

from evidence.measurement import Measurement, outcome_of_checks
from evidence.record import Record
from evidence.replay import Attached, Recomputed, text
from evidence.results import Check, DrillResult, RolloutResult
from rollouts.lived import rollout_of


def judge_auto_rollback(rollout: Measurement, env: Mapping[str, str]) -> Measurement:
    """Read the rehearsal of a candidate that ``env`` made bad: passed when it was rolled back, and nothing else."""
    result = rollout.result
    assert isinstance(result, RolloutResult)
    drill = drill_of(result)
    requests, ms = result.requests_to_harm, result.harm_to_stable_ms
    fault = ", ".join(f"{name}={value}" for name, value in env.items())
    shown = (
        "" if requests is None or ms is None else f" after {requests} canary requests, all on stable {ms:.1f} ms later"
    )
    return replace(
        rollout,
        result=drill,
        outcome=outcome_of_checks(drill),
        summary=f"candidate with {fault}: {result.outcome}{shown}; {result.users_exposed} users were exposed",
        parameters={**rollout.parameters, "fault": fault},
    )


def drill_of(result: RolloutResult) -> DrillResult:
    """The drill that the rollout of a bad candidate is.

    ``recovery_ms`` is the time from harm shown until all requests went to stable. Errors are those of canary requests:
    they are what the fault was meant to cause.
    """
    rolled_back = result.outcome == "rolled-back"
    ms = result.harm_to_stable_ms
    steps = [
        Check(name="the judge rolls the bad candidate back", passed=rolled_back, observed=result.why),
        Check(
            name="after harm no request reaches the candidate",
            passed=rolled_back and ms is not None,
            observed="not measured" if ms is None else f"all went to stable {ms:.1f} ms after harm was shown",
        ),
        Check(
            name="no stage with the bad candidate was promoted",
            passed=result.stages_completed == 0,
            observed=f"{result.stages_completed} stages were promoted",
        ),
    ]
    passed = sum(step.passed for step in steps)
    return DrillResult(
        drill="auto-rollback",
        steps=steps,
        passed=passed,
        failed=len(steps) - passed,
        recovery_ms=ms,
        requests=result.canary_requests,
        errors=result.canary_errors,
    )


def replay_auto_rollback(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of the drill again, from the rollout behind it. Raises UnrecordedError and IntegrityError."""
    drill = drill_of(rollout_of(attachments, text(record, "router")))
    return Recomputed(drill, outcome_of_checks(drill))
