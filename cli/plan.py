"""``gonogo plan``: check a release plan, and show what would run."""

from pathlib import Path
from typing import Any

from cyclopts import App

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_json, print_text
from decision.inputs import subject_of
from decision.objectives import Stage
from decision.plan_file import check_users, read_plan
from evidence.store import open_store
from flows.authorization import awaited, pending
from rollouts.ab_size import Size, planned_size

app = App(name="plan", help="Check a release plan, or show what would run.")


@app.command
def check(plan: Path, *, json: Json = False) -> int:
    """Validate a plan; every problem names file, line and key."""
    plan_file = read_plan(plan)
    check_users(plan_file, plan)
    subject = subject_of(plan_file)
    tests = [
        (stage, planned_size(stage.metrics, stage.analysis, stage.share)) for stage in plan_file.plan.rollout.stages
    ]
    sizes = [_size_as_json(stage, size) for stage, size in tests if stage.metrics]
    counts = {"claims": len(plan_file.plan.claims), "collectors": len(plan_file.plan.collect)}
    if json:
        print_json(
            {
                "release": plan_file.plan.release,
                "subject": subject.digest,
                "digest": plan_file.digest,
                **counts,
                "ab_tests": sizes,
            }
        )
    else:
        print_text(
            f"{plan}: a valid plan for {subject.name} {subject.version}: "
            f"{counts['claims']} claims on {counts['collectors']} collectors"
        )
        for stage, size in tests:
            if stage.metrics:
                print_text(f"A/B test in stage {stage.name}: {_size_in_words(stage, size)}")
    return 0


def _size_as_json(stage: Stage, size: Size | None) -> dict[str, Any]:
    known = {"control_units": size.control, "treatment_units": size.treatment, "days": size.days} if size else {}
    return {"stage": stage.name, "control_units": None, "treatment_units": None, "days": None} | known


def _size_in_words(stage: Stage, size: Size | None) -> str:
    if size is None:
        return "no metric says what is expected (baseline, and minimum_effect or expected), so no size can be computed"
    needed = f"needs {size.control:,} units of control and {size.treatment:,} of treatment"
    if size.days is None:
        return needed
    longer = ", longer than the stage's minimum" if size.days * 86400 > stage.minimum else ""
    return f"{needed}, {size.days:,} day{'s' if size.days > 1 else ''}{longer}"


@app.command
def show(plan: Path, *, profile: str = "quick", home: Home = DEFAULT_HOME, json: Json = False) -> int:
    """Print what an authorization would measure now, and which evidence is fresh enough to be reused."""
    plan_file = read_plan(plan)
    store = open_store(home.resolve())
    missing, fresh = pending(plan_file, store, profile=profile)
    later = awaited(plan_file, store, profile=profile)
    if json:
        print_json(
            {
                "would_run": [{"collector": m.collector, "why": m.why} for m in missing],
                "by_the_rollout": [{"collector": m.collector, "why": m.why} for m in later],
                "fresh": [{"collector": r.collector, "record_id": r.record_id} for r in fresh],
            }
        )
        return 0
    for item in missing:
        print_text(f"would run  {item.collector:<24} {item.why}")
    for item in later:
        print_text(f"by rollout {item.collector:<24} {item.why}: its stage in production records it")
    for record in fresh:
        print_text(
            f"fresh      {record.collector:<24} {record.outcome}, measured {record.finished_at:%Y-%m-%d %H:%M} UTC"
        )
    return 0
