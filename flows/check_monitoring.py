"""The flow that checks whether the monitoring watches."""

from pathlib import Path

from prefect import flow
from telemetry.monitoring import check_monitoring as run_checks

from decision.collect import MonitoringCollect
from evidence.measurement import Measurement
from flows.measuring import Step, record_measurement
from flows.targets import running_targets


@flow(name="check-monitoring", flow_run_name="check-monitoring {collect}")
def check_monitoring(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Check targets, rules, alerts, panels and logs; returns the record id."""
    return record_measurement(plan, collect, profile, home, MonitoringCollect, _check)


def _check(step: Step[MonitoringCollect]) -> Measurement:
    with running_targets(step.plan_file, step.work_dir) as targets:
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
