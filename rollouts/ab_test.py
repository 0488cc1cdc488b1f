"""The A/B test of a stage in production: who was seen in which arm, with outcomes, as evidence of kind ab-test.

Units are users whom the request log saw in the stage. The arm of each is the one that the router assigned, whatever
version answered (intention to treat) and whatever the outcomes say. The evidence names users by their hash alone.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from decision.ab_metrics import AbAnalysis, AbMetric
from decision.objectives import Stage
from evidence.ab_result import AbTestResult
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, attached_json
from processes.errors import InputError, UsageError
from rollouts.ab_analysis import analyse
from rollouts.ab_rows import Grouped, Rows, columns_of, group
from rollouts.ab_size import planned_size
from rollouts.assignment import user_hash
from rollouts.journal import Entry
from rollouts.outcomes import OutcomeRows
from rollouts.samples import Arm
from rollouts.under_way import Rollout

OUTCOMES = "outcomes.parquet"
TEST = "ab-test.json"
_MEDIA_TYPES = {OUTCOMES: "application/vnd.apache.parquet", TEST: "application/json"}
_OUTCOMES: Mapping[str, Outcome] = {"better": "passed", "non-inferior": "passed", "worse": "failed"}


@dataclass(frozen=True)
class Joined:
    """Outcomes of the users who were seen, by their hash; a row without numbers for each who has none.

    ``enough``: users with a value of each metric that decides. ``left_out``: by what, how much and why.
    """

    rows: Rows
    enough: int
    left_out: tuple[LeftOut, ...]


def planned_units(stage: Stage) -> int:
    """How many users the stage's test needs, of both arms. Raises UsageError when its metrics do not say."""
    size = planned_size(stage.metrics, stage.analysis, stage.share)
    if size is None:
        raise UsageError(
            f"stage {stage.name}: its A/B test has no planned size: a primary metric or guardrail needs a baseline "
            "and minimum_effect, expected or margin (and the deviation of a mean or ratio)"
        )
    return size.units


def join(outcomes: OutcomeRows, exposures: Sequence[tuple[str, Arm]], began_s: float, stage: Stage) -> Joined:
    """The outcomes since ``began_s`` (epoch seconds) of users who were seen. Raises InputError for doubtful ones."""
    arms: dict[str, list[Arm]] = {}
    for user, arm in exposures:
        arms.setdefault(user, []).append(arm)
    both = [user for user, seen in arms.items() if len(seen) > 1]
    if both:
        raise InputError(f"{len(both):,} users were assigned to both versions within the stage, such as {both[0]}")
    named = outcomes.users != ""
    hashes = np.array([user_hash(user) if user else "" for user in outcomes.users], dtype=object)
    seen = np.array([user in arms for user in hashes], dtype=bool)
    in_time = np.ones(len(hashes), dtype=bool) if outcomes.at_s is None else outcomes.at_s >= began_s
    if named.any() and not seen.any():
        raise InputError("names no user whom the request log saw in this stage: is it the id of the user header?")
    kept = seen & in_time
    without = sorted(arms.keys() - set(hashes[kept]))
    units = np.concatenate([hashes[kept], np.array(without, dtype=object)])
    missing = np.full(len(without), np.nan)
    rows = Rows(
        units=units,
        arms=np.array([arms[user][0] for user in units], dtype=object),
        numbers={name: np.concatenate([column[kept], missing]) for name, column in outcomes.numbers.items()},
        segments={
            name: np.concatenate([column[kept], np.full(len(without), "", dtype=object)])
            for name, column in outcomes.segments.items()
        },
    )
    left_out = (
        LeftOut("rows of outcomes", int((~named).sum()), "name no user"),
        LeftOut("rows of outcomes", int((named & ~seen).sum()), "of users who were not seen in the stage"),
        LeftOut("rows of outcomes", int((seen & ~in_time).sum()), "from before the stage"),
    )
    known = [
        values.known for name, values in group(rows, stage.metrics).units.metrics.items()
        if stage.metrics[name].role != "secondary"
    ]  # fmt: skip
    enough = int(np.all(known, axis=0).sum()) if known else 0
    return Joined(rows, enough, tuple(one for one in left_out if one.count))


def measurement_of_test(
    rollout: Rollout, stage: Stage, joined: Joined, entry: Entry, began_at: datetime
) -> Measurement:
    """The one look at a stage's A/B test, made by ``entry`` of the journal."""
    test = {
        "stage": stage.name,
        "share": stage.share,
        "metrics": {name: metric.model_dump(mode="json") for name, metric in stage.metrics.items()},
        "analysis": stage.analysis.model_dump(mode="json"),
        "planned_units": planned_units(stage),
        "days": (entry.at - began_at).total_seconds() / 86400,
    }
    material = {OUTCOMES: kept(joined.rows), TEST: json.dumps(test, indent=1).encode()}
    result, grouped = test_of(material)
    without = sum(not bool(row) for row in _with_any_value(grouped))
    left_out = [*joined.left_out, *([LeftOut("users", without, "have no outcome")] if without else [])]
    return Measurement(
        result=result,
        outcome=outcome_of(result),
        summary=f"stage {stage.name}: {result.verdict}: {result.why}",
        started_at=began_at,
        finished_at=entry.at,
        tools={name: version(name) for name in ("numpy", "scipy")},
        parameters={
            "rollout_id": rollout.journal.rollout_id,
            "entry": entry.number,
            "stage": stage.name,
            "router": rollout.router.kind,
        },
        left_out=left_out,
        attachments=[AttachmentContent(name, _MEDIA_TYPES[name], content) for name, content in material.items()],
    )


def test_of(attachments: Attached) -> tuple[AbTestResult, Grouped]:
    """The result of the raw material, and its units. Raises UnrecordedError."""
    test = attached_json(attachments, TEST)
    metrics = {name: AbMetric.model_validate(metric) for name, metric in test["metrics"].items()}
    analysis = AbAnalysis.model_validate(test["analysis"])
    grouped = group(_read(attached(attachments, OUTCOMES), metrics, analysis), metrics)
    result = analyse(
        grouped.units,
        metrics,
        analysis,
        share=test["share"],
        arms=grouped.arms,
        planned_units=test["planned_units"],
    )
    return result.model_copy(update={"days": test["days"]}), grouped


def outcome_of(result: AbTestResult) -> Outcome:
    """The outcome of the measurement: what was not shown is neither good nor bad."""
    return _OUTCOMES.get(result.verdict, "inconclusive")


def replay_ab_test(_record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome of an A/B test again. Raises UnrecordedError."""
    result, _ = test_of(attachments)
    return Recomputed(result, outcome_of(result))


def _with_any_value(grouped: Grouped) -> Any:
    return np.any([values.known for values in grouped.units.metrics.values()], axis=0)


def kept(rows: Rows) -> bytes:
    """The rows as they are kept with the evidence: floats to the last bit."""
    columns: dict[str, Any] = {"unit": rows.units, "arm": rows.arms}
    columns |= {f"number {name}": column for name, column in rows.numbers.items()}
    columns |= {f"segment {name}": column for name, column in rows.segments.items()}
    return bytes(pd.DataFrame(columns).to_parquet(index=False))


def _read(content: bytes, metrics: Mapping[str, AbMetric], analysis: AbAnalysis) -> Rows:
    table = pd.read_parquet(io.BytesIO(content))
    return Rows(
        table["unit"].to_numpy(dtype=object),
        table["arm"].to_numpy(dtype=object),
        {name: table[f"number {name}"].to_numpy(dtype=float) for name in columns_of(metrics)},
        {name: table[f"segment {name}"].to_numpy(dtype=object) for name in analysis.segments},
    )
