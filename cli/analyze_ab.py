"""``gonogo analyze ab``: the A/B verdict on recorded data of units."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter
from pydantic import ValidationError

from cli.options import Json
from cli.output import print_json, print_text
from cli.table_file import numbers_of, read_table, texts_of
from decision.ab_metrics import AbAnalysis, AbMetric
from decision.plan_file import read_plan
from decision.quantities import parse_margin, parse_ratio
from evidence.ab_result import AbMetricResult, AbSegmentResult, AbTestResult
from processes.errors import InputError, UsageError
from rollouts.ab_analysis import analyse
from rollouts.ab_rows import Grouped, Rows, columns_of, group
from rollouts.ab_size import planned_size

_Value = TypeVar("_Value")
_NAMED = "NAME=VALUE; may be repeated."


def ab(
    file: Path,
    *,
    unit: Annotated[str, Parameter(help="The column that identifies what was assigned: a user, a session.")],
    arm: Annotated[str, Parameter(help="The column that says in which arm it is.")],
    metric: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="NAME:mean, NAME:proportion or NAME:ratio, of the column NAME, or of another one: NAME:mean=COLUMN, "
            "NAME:ratio=NUMERATOR/DENOMINATOR. A ratio without denominator is per row. May be repeated.",
        ),
    ] = (),
    control: Annotated[
        str | None, Parameter(help="The control arm, unless it is called control, stable or baseline.")
    ] = None,
    decrease: Annotated[
        tuple[str, ...], Parameter(negative="", help="A metric of which less is better; may be repeated.")
    ] = (),
    margin: Annotated[
        tuple[str, ...],
        Parameter(negative="", help=f"Makes a metric a guardrail that may be worse by less than this: {_NAMED}"),
    ] = (),
    minimum_effect: Annotated[
        tuple[str, ...], Parameter(negative="", help=f"The least effect that is wanted: {_NAMED}")
    ] = (),
    covariate: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="A column measured before the start, for all metrics, or NAME=COLUMN for one; may be repeated.",
        ),
    ] = (),
    segment: Annotated[
        tuple[str, ...], Parameter(negative="", help="A column to report by as well; may be repeated.")
    ] = (),
    share: Annotated[str, Parameter(help="Of units that should be in the treatment.")] = "50%",
    alpha: str = "5%",
    correction: str = "holm",
    plan: Annotated[
        Path | None, Parameter(help="Take metrics, share and analysis from the stage of this plan that has metrics.")
    ] = None,
    json: Json = False,
) -> int:
    """Compare two arms: sample ratio first, then every metric with effect, interval, corrected p-value and verdict.

    FILE is CSV or Parquet with one row per unit, or several, which count as one.
    """
    planned = None
    if plan is not None:
        if metric or decrease or margin or minimum_effect or covariate or segment:
            raise UsageError("--plan says all of metrics and segments: leave their options out")
        metrics, analysis, treated = _from_plan(plan)
        planned = planned_size(metrics, analysis, treated)
    else:
        metrics = _metrics(metric, decrease, margin, minimum_effect, covariate)
        analysis = _said(
            lambda: AbAnalysis.model_validate({"alpha": alpha, "correction": correction, "segments": segment})
        )
        treated = _said(lambda: parse_ratio(share))
        if not 0 < treated < 1:
            raise UsageError("--share: expected a share between 0% and 100%")
    grouped = _read(file, unit, arm, control, metrics, analysis)
    result = analyse(
        grouped.units,
        metrics,
        analysis,
        share=treated,
        arms=grouped.arms,
        planned_units=planned.units if planned else None,
    )
    if json:
        print_json(
            {
                **result.model_dump(mode="json"),
                "rows": grouped.rows,
                "rows_left_out": grouped.rows_left_out,
                "missing_rows": dict(grouped.missing_rows),
            }
        )
    else:
        for line in _lines(result, grouped):
            print_text(line)
    return 0


def _read(
    file: Path, unit: str, arm: str, control: str | None, metrics: dict[str, AbMetric], analysis: AbAnalysis
) -> Grouped:
    table = read_table(file)
    rows = Rows(
        texts_of(table, unit, file),
        texts_of(table, arm, file),
        {column: numbers_of(table, column, file) for column in columns_of(metrics)},
        {column: texts_of(table, column, file) for column in analysis.segments},
    )
    try:
        return group(rows, metrics, control)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def _from_plan(path: Path) -> tuple[dict[str, AbMetric], AbAnalysis, float]:
    stages = [stage for stage in read_plan(path).plan.rollout.stages if stage.metrics]
    if len(stages) != 1:
        raise UsageError(f"{path}: expected one stage with metrics, found {len(stages)}")
    return dict(stages[0].metrics), stages[0].analysis, stages[0].share


def _metrics(
    specs: Iterable[str],
    decrease: Iterable[str],
    margins: Iterable[str],
    minimum_effects: Iterable[str],
    covariates: Iterable[str],
) -> dict[str, AbMetric]:
    fields: dict[str, dict[str, Any]] = {}
    for spec in specs:
        name, colon, rest = spec.partition(":")
        kind, _, columns = rest.partition("=")
        column, _, denominator = columns.partition("/")
        if not name or not colon or name in fields:
            raise UsageError(f"--metric {spec}: expected NAME:mean, NAME:proportion or NAME:ratio, each NAME once")
        fields[name] = {"type": kind, "column": column or None, "denominator": denominator or None}
    if not fields:
        raise UsageError("name at least one --metric NAME:mean|proportion|ratio, or a --plan")
    for name in decrease:
        _field_of(fields, name, "--decrease")["direction"] = "decrease"
    for name, value in _pairs(margins, "--margin"):
        _field_of(fields, name, "--margin").update(role="guardrail", margin=_margin(value, f"--margin {name}"))
    for name, value in _pairs(minimum_effects, "--minimum-effect"):
        _field_of(fields, name, "--minimum-effect")["minimum_effect"] = _margin(value, f"--minimum-effect {name}")
    for text in covariates:
        name, equals, column = text.partition("=")
        for chosen in [_field_of(fields, name, "--covariate")] if equals else fields.values():
            chosen["covariate"] = column if equals else text
    return {
        name: _said(lambda values=values: AbMetric.model_validate(values), f"--metric {name}: ")  # type: ignore[misc]
        for name, values in fields.items()
    }


def _margin(text: str, option: str) -> object:
    return _said(lambda: parse_margin(float(text) if text.replace(".", "", 1).isdigit() else text), f"{option}: ")


def _field_of(fields: dict[str, dict[str, Any]], name: str, option: str) -> dict[str, Any]:
    if name not in fields:
        raise UsageError(f"{option}: there is no --metric {name}; there are {', '.join(fields)}")
    return fields[name]


def _pairs(texts: Iterable[str], option: str) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (_, equals, value) in zip(texts, pairs, strict=True) if not equals or not value]:
        raise UsageError(f"{option} {wrong[0]}: expected NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _said(make: Callable[[], _Value], where: str = "") -> _Value:
    """What is wrong with a value, in one line."""
    try:
        return make()
    except ValidationError as error:
        details = error.errors()[0]
        place = ".".join(str(part) for part in details["loc"])
        message = details["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}{place + ': ' if place else ''}{message}") from error
    except ValueError as error:
        raise UsageError(f"{where}{error}") from error


def _lines(result: AbTestResult, grouped: Grouped) -> list[str]:
    lines = [f"{result.verdict.upper()}: {result.why}", ""]
    total = result.control_units + result.treatment_units
    lines.append(
        f"units     {result.control_units:,} {result.control_arm} (control), {result.treatment_units:,} "
        f"{result.treatment_arm}; expected {result.expected_share:.1%} of {total:,}: p = {result.srm_p_value:.2g}"
    )
    if grouped.rows != total or grouped.rows_left_out:
        lines.append(
            f"rows      {grouped.rows:,}, of which {grouped.rows_left_out:,} name no unit or no arm and were left out"
        )
    lines += [
        f"missing   {name}: {count:,} rows without a value" for name, count in grouped.missing_rows.items() if count
    ]
    lines += [
        f"tests     alpha {result.alpha:g}, {result.correction} over the metrics of each role; guardrails one-sided at "
        f"{result.alpha / 2:g}",
        "",
    ]
    for metric in result.metrics:
        lines += _metric_lines(metric, result.alpha)
    if result.segments:
        lines += ["", "by segment (reported, never part of the verdict; corrected over all of them together)"]
        types = {metric.name: metric.type for metric in result.metrics}
        lines += [_segment_line(cell, types[cell.metric]) for cell in result.segments]
    return lines


def _metric_lines(metric: AbMetricResult, alpha: float) -> list[str]:
    role = "" if metric.role == "primary" else f" ({metric.role})"
    lines = [f"{metric.name}{role}: {metric.verdict}, {metric.why}"]
    if metric.effect is not None:
        relative = "" if metric.relative_effect is None else f" ({metric.relative_effect:+.1%} of the control)"
        lines.append(
            f"  control {_value(metric.control, metric.type)}, treatment {_value(metric.treatment, metric.type)}: "
            f"{_effect(metric.effect, metric.type)}{relative}{_interval(metric.interval, metric.type, 1 - alpha)}"
        )
    if metric.p_value is not None and metric.adjusted_p is not None:
        margin = "" if metric.margin is None else f", margin {_effect(metric.margin, metric.type).removeprefix('+')}"
        lines.append(f"  p = {metric.p_value:.3g}, corrected {metric.adjusted_p:.3g}{margin}")
    if metric.variance_reduction is not None:
        lines.append(f"  covariate {metric.covariate} took {metric.variance_reduction:.1%} of the variance away")
    if metric.missing_units:
        lines.append(f"  {metric.missing_units:,} units without a value")
    if metric.needs_units is not None:
        lines.append(f"  needs about {metric.needs_units:,} more units for an answer")
    return lines


def _segment_line(cell: AbSegmentResult, kind: str) -> str:
    effect = "unknown" if cell.effect is None else _effect(cell.effect, kind) + _interval(cell.interval, kind, None)
    p = "" if cell.adjusted_p is None else f", corrected p = {cell.adjusted_p:.3g}"
    return (
        f"  {cell.segment}={cell.value} {cell.metric}: {effect}{p}, {cell.verdict} "
        f"({cell.control_units:,} and {cell.treatment_units:,} units)"
    )


def _value(value: float | None, kind: str) -> str:
    return "unknown" if value is None else f"{value:.2%}" if kind == "proportion" else f"{value:.5g}"


def _effect(value: float, kind: str) -> str:
    return f"{value * 100:+.2f}pp" if kind == "proportion" else f"{value:+.4g}"


def _interval(interval: tuple[float, float] | None, kind: str, level: float | None) -> str:
    if interval is None:
        return ""
    low, high = (_effect(end, kind) for end in interval)
    return f", {'' if level is None else f'{level:.0%} interval '}{low} to {high}"
