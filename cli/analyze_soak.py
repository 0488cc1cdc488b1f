"""``gonogo analyze soak``: whether a sampled series of any origin grows."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.options import Json
from cli.output import print_json, print_text
from decision.quantities import parse_ratio
from evidence.soak_result import Trend
from loadtests.soak_file import read_soak_file
from loadtests.trend import judge_trend
from processes.errors import UsageError


def soak(
    file: Path,
    *,
    time: Annotated[str, Parameter(help="The column of times: ISO 8601, epoch seconds or epoch milliseconds.")],
    value: Annotated[str, Parameter(help="The column of values: resident memory, heap, open files, …")],
    limit_per_day: Annotated[str, Parameter(help="Growth a day that is still allowed, of the level.")] = "5%",
    coverage: Annotated[str, Parameter(help="The share of the time that samples must cover.")] = "95%",
    control: Annotated[Path | None, Parameter(help="The same columns of the stable version, same load.")] = None,
    json: Json = False,
) -> int:
    """Judge whether a sampled series grows: stable, leaking or not proven. Exits with 0 whatever the verdict."""
    series = read_soak_file(file, time, value)
    beside = read_soak_file(control, time, value) if control is not None else None
    trend = judge_trend(
        series.hours,
        series.values,
        limit_per_day=_ratio("--limit-per-day", limit_per_day),
        coverage_at_least=_ratio("--coverage", coverage),
        control=(
            [hour + (beside.began_s - series.began_s) / 3600 for hour in beside.hours],
            beside.values,
        )
        if beside
        else None,
    )
    left_out = [*series.left_out, *(f"control: {line}" for line in (beside.left_out if beside else []))]
    trend = trend.model_copy(update={"notes": [*left_out, *trend.notes]})
    if json:
        print_json(trend.model_dump(mode="json"))
    else:
        print_text(_trend_text(trend))
    return 0


def _ratio(option: str, text: str) -> float:
    try:
        ratio = parse_ratio(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if ratio <= 0:
        raise UsageError(f"{option}: must be above 0")
    return ratio


def _trend_text(trend: Trend) -> str:
    lines = [f"{trend.verdict}: {trend.why}"]
    if trend.growth_per_day is not None:
        lines.append(f"growth           {trend.growth_per_day:+.2%} of the level a day")
    if trend.interval_per_hour is not None and trend.slope_per_hour is not None:
        low, high = trend.interval_per_hour
        lines.append(f"slope            {trend.slope_per_hour:+.4g} an hour, 95 % interval {low:+.4g} to {high:+.4g}")
    if trend.growth_per_day_bound is not None:
        lines.append(f"at most          {trend.growth_per_day_bound:+.2%} a day, steps and recent growth included")
    if trend.smallest_visible_per_day is not None:
        lines.append(f"smallest visible {trend.smallest_visible_per_day:.2%} a day")
    if trend.coverage is not None:
        lines.append(f"coverage         {trend.coverage:.1%}")
    if trend.verdict == "not-proven":
        hours = "unknown" if trend.needs_hours is None else f"{trend.needs_hours:g} h more"
        lines.append(f"still needed     {hours}")
    if trend.explanations:
        lines.append(f"{'explanation':<16} {'R²':>6} {'BIC above best':>15} {'growth left a day':>18}")
    for rival in trend.explanations:
        where = ", ".join(f"{hour:.1f} h" for hour in rival.at_hours)
        constant = f"time constant {rival.time_constant_hours:.3g} h" if rival.time_constant_hours else ""
        numbers = f"{rival.r_squared:>6.3f} {rival.bic_above_best:>15.1f} {rival.growth_per_day_left:>+18.2%}"
        lines.append(f"{rival.name:<16} {numbers}  {where}{constant}".rstrip())
    return "\n".join([*lines, *(f"note: {note}" for note in trend.notes)])
