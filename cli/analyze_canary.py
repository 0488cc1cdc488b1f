"""``gonogo analyze canary``: the judge on recorded samples."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from cyclopts import Parameter
from numpy.typing import NDArray

from cli.options import Json
from cli.output import print_json, print_text
from cli.table_file import numbers_of, read_table, texts_of
from decision.quantities import parse_margin
from evidence.results import JudgedMetric
from processes.errors import InputError, UsageError
from rollouts.recorded_requests import Judgement, Recorded, judge_requests, judge_series
from rollouts.recorded_values import HarmDirection

_MARGIN = "10%"


def canary(
    *,
    baseline: Annotated[Path, Parameter(help="Requests of the version that serves now.")],
    canary: Annotated[Path, Parameter(help="Requests of the candidate.")],
    values: Annotated[str | None, Parameter(help="Judge this one column of numbers instead of requests.")] = None,
    direction: Annotated[HarmDirection | None, Parameter(help="With --values: which change is harm (either).")] = None,
    margin: Annotated[
        str | None, Parameter(help=f"With --values: the largest change that is no harm, such as 20% or 3 ({_MARGIN}).")
    ] = None,
    json: Json = False,
) -> int:
    """Judge a canary against a baseline that was recorded beside it: harm, non-inferior or not proven.

    CSV or Parquet, one row per request: latency_ms, error (0 or 1), and if known timestamp (ISO 8601 or epoch seconds)
    and user_id.
    """
    if values is None and (direction is not None or margin is not None):
        raise UsageError("--direction and --margin need --values COLUMN")
    measures = ("latency_ms", "error") if values is None else (values,)
    before, after = (_read(path, measures) for path in (baseline, canary))
    if (before.at_s is None) != (after.at_s is None):
        raise InputError(
            f"only one of {baseline} and {canary} has a column 'timestamp': expected it in both or neither"
        )
    if values is None:
        judgement = judge_requests(before, after)
    else:
        judgement = judge_series(values, before, after, direction or "either", _margin(margin or _MARGIN))
    if json:
        print_json(_as_json(judgement))
    else:
        for line in _lines(judgement):
            print_text(line)
    return 0


def _margin(text: str) -> Any:
    try:
        return parse_margin(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise UsageError(f"--margin {text}: {error}") from error


def _read(path: Path, measures: tuple[str, ...]) -> Recorded:
    table = read_table(path)
    columns = {name: numbers_of(table, name, path) for name in measures}
    if "error" in columns:
        error, latency_ms = columns["error"], columns["latency_ms"]
        if not np.isin(error[~np.isnan(error)], (0.0, 1.0)).all():
            raise InputError(f"{path}: column error: expected 0 or 1")
        if (latency_ms[~np.isnan(latency_ms)] < 0).any():
            raise InputError(f"{path}: column latency_ms: a latency is below zero")
    return Recorded(
        columns,
        _times(table, path) if "timestamp" in table.columns else None,
        texts_of(table, "user_id", path) if "user_id" in table.columns else None,
    )


def _times(table: pd.DataFrame, path: Path) -> NDArray[np.float64]:
    """Epoch seconds, NaN where nothing is written."""
    column = table["timestamp"]
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
        return numbers_of(table, "timestamp", path)
    texts = pd.Series(texts_of(table, "timestamp", path), dtype=object)
    numbers = pd.to_numeric(texts, errors="coerce")
    if (numbers.notna() | (texts == "")).all():
        return numbers_of(table, "timestamp", path)
    # Python's own parser: it knows every form of ISO 8601, each row may have another, and a time without zone is UTC.
    times = pd.to_datetime(texts.where(texts != "", None), format="ISO8601", utc=True, errors="coerce")
    wrong = times.isna() & (texts != "")
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise InputError(
            f"{path}: column timestamp: expected ISO 8601 or epoch seconds, found {texts[row]!r} in row {row + 1}"
        )
    seconds = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return np.asarray(seconds, dtype=np.float64)


def _as_json(judgement: Judgement) -> dict[str, Any]:
    return {
        "verdict": judgement.verdict,
        "metrics": [
            {
                "name": metric.name,
                "baseline": metric.baseline,
                "canary": metric.canary,
                "difference": metric.difference,
                "interval": None if metric.interval is None else [metric.interval.low, metric.interval.high],
                "p_value": metric.p_value,
                "verdict": metric.verdict,
                "margin": metric.margin,
                "needs_requests": metric.needs_requests,
                "first_alarm_at": metric.first_alarm_at,
            }
            for metric in judgement.metrics
        ],
        "needs_requests": judgement.needs_requests,
        "problems": list(judgement.problems),
        "notes": list(judgement.notes),
    }


def _lines(judgement: Judgement) -> list[str]:
    needs = judgement.needs_requests
    more = "" if needs is None else f": about {needs:,} more canary rows are needed"
    lines = [f"{judgement.verdict.upper()}{more}"]
    lines += [_metric_line(metric) for metric in judgement.metrics]
    lines += [f"problem       {problem}" for problem in judgement.problems]
    lines += [f"note          {note}" for note in judgement.notes]
    return lines


def _metric_line(metric: JudgedMetric) -> str:
    said = [f"{metric.name:<13} {metric.verdict}: baseline {_number(metric.baseline)}, canary {_number(metric.canary)}"]
    if metric.interval is not None and metric.interval.low is not None and metric.interval.high is not None:
        # Of rates and of series the difference itself; of a P95 that of the shares of requests above it.
        what = "slow requests" if metric.name == "latency-p95" else "difference"
        said.append(
            f"{metric.interval.level:.0%} interval of {what} {metric.interval.low:+.4g} to {metric.interval.high:+.4g}"
        )
    if metric.p_value is not None:
        said.append(f"p = {metric.p_value:.3g}")
    if metric.first_alarm_at is not None:
        said.append(f"harm shown after {metric.first_alarm_at:,} canary rows")
    return ", ".join(said)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.5g}"
