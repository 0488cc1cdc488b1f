"""What the stages of a rollout are decided by, and how that is kept with the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from decision.objectives import Objective, Slo, Stage
from decision.quantities import Margin
from decision.rollout_spec import PlanMetric
from rollouts.judge import EDITION
from rollouts.sample_ratio import ALPHA
from rollouts.stage import Seen, Step, next_step


@dataclass(frozen=True)
class Rules:
    """What stages are decided by; the last six as ``next_step`` knows them."""

    slo: Slo
    minimum_s: float
    harm_alpha: float
    silence_at_most_s: float
    mismatch_alpha: float = ALPHA
    alone: Slo | None = None
    unmeasured_windows: int | None = None
    plan_metrics: Mapping[str, PlanMetric] = field(default_factory=dict)
    rejections_alone: float | None = None
    edition: int = EDITION


def decide_stage(seen: Seen, stage: Stage, rules: Rules) -> Step:
    """What to do by the rules."""
    return next_step(
        seen,
        stage,
        rules.slo,
        minimum_s=rules.minimum_s,
        harm_alpha=rules.harm_alpha,
        silence_at_most_s=rules.silence_at_most_s,
        mismatch_alpha=rules.mismatch_alpha,
        alone=rules.alone,
        unmeasured_windows=rules.unmeasured_windows,
        plan_metrics=rules.plan_metrics,
        rejections_alone=rules.rejections_alone,
        edition=rules.edition,
    )


def rules_entry(rules: Rules) -> dict[str, Any]:
    """Rules as they are kept: floats to the last bit."""
    return {
        **vars(rules),
        "slo": slo_entry(rules.slo),
        "alone": None if rules.alone is None else slo_entry(rules.alone),
        "plan_metrics": {name: metric.model_dump(mode="json") for name, metric in rules.plan_metrics.items()},
    }


def read_rules(entry: Mapping[str, Any]) -> Rules:
    """The rules of an entry, also of one of an older version."""
    alone = entry.get("alone")
    return Rules(
        slo=read_slo(entry["slo"]),
        minimum_s=entry["minimum_s"],
        harm_alpha=entry["harm_alpha"],
        silence_at_most_s=entry["silence_at_most_s"],
        mismatch_alpha=entry.get("mismatch_alpha", ALPHA),
        alone=None if alone is None else read_slo(alone),
        unmeasured_windows=entry.get("unmeasured_windows"),
        plan_metrics={name: _plan_metric(metric) for name, metric in entry.get("plan_metrics", {}).items()},
        rejections_alone=entry.get("rejections_alone"),
        edition=entry.get("edition", 1),
    )


def slo_entry(slo: Slo) -> dict[str, Any]:
    """Objectives as they are kept."""
    return {name: objective.model_dump(mode="json") for name, objective in slo.items()}


def read_slo(entry: Mapping[Any, Any]) -> Slo:
    """The objectives of an entry."""
    return {name: _objective(objective) for name, objective in entry.items()}


def _objective(entry: Mapping[str, Any]) -> Objective:
    margin = entry["worse_than_stable_by"]
    return Objective.model_validate({**entry, "worse_than_stable_by": None if margin is None else Margin(**margin)})


def _plan_metric(entry: Mapping[str, Any]) -> PlanMetric:
    return PlanMetric.model_validate({**entry, "worse_than_stable_by": Margin(**entry["worse_than_stable_by"])})
