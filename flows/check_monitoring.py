"""The flow that checks whether the monitoring watches."""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from prefect import flow

from decision.collect import MonitoringCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.targets import running_targets
from loadtests.traffic import traffic
from processes.errors import UsageError
from processes.target import Target
from telemetry.monitoring import check_monitoring as run_checks

_SEED = 6
_LONGEST_S = 180.0


@flow(name="check-monitoring", flow_run_name="check-monitoring {collect}")
def check_monitoring(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Check targets, rules, alerts, panels and logs; returns the record id."""
    return record_measurement(plan, collect, profile, home, MonitoringCollect, _check)


def _check(step: Step[MonitoringCollect]) -> Measurement:
    with ExitStack() as stack:
        targets = stack.enter_context(running_targets(step.plan_file, step.work_dir))
        for target in targets:
            stack.enter_context(_traffic_of(step, target))
        return run_checks(
            targets,
            slo=step.plan.slo,
            metric_names=step.collect.metric_names,
            log_fields=step.collect.log_fields,
            dashboards=[step.plan_file.resolve(d) for d in step.collect.dashboards],
            kind=step.plan.metrics.kind,
            work_dir=step.work_dir,
            progress=step.progress,
        )


def _traffic_of(step: Step[MonitoringCollect], target: Target) -> AbstractContextManager[object]:
    """Panels show rates: without traffic they have nothing to show."""
    journey = step.collect.traffic.get(target.name)  # type: ignore[call-overload]
    if journey is None:
        return nullcontext()
    if step.collect.users is None:
        raise UsageError(f"{step.name}: traffic needs users")
    work_dir = step.work_dir / f"traffic-{target.name}"
    work_dir.mkdir(exist_ok=True)
    return traffic(
        target.url,
        locustfile=step.plan_file.resolve(step.collect.users),
        journey=journey,
        rate_per_s=step.collect.rate,
        seed=_SEED,
        work_dir=work_dir,
        longest_s=_LONGEST_S,
    )
