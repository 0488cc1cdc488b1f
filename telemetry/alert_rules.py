"""Prometheus alert rules made of the plan's service level objectives: one alert for each roll-back limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from decision.objectives import Objective, ObjectiveName, Slo

WINDOW_S = 60.0
"""The length of one of the plan's windows where Prometheus watches."""

_REQUESTS = "http_requests_total"
_DURATION = "http_request_duration_seconds"


@dataclass(frozen=True)
class AlertRule:
    """One alert: it fires for a target when ``expr`` has held for ``for_s`` seconds."""

    alert: str
    objective: ObjectiveName
    expr: str
    for_s: float
    summary: str


def alert_rules(
    slo: Slo, *, job: str, window_s: float, for_window_s: float, memory_limit_bytes: float
) -> list[AlertRule]:
    """The rules of one scrape job, by ``target`` label.

    A limit that must hold for n windows is an expression over one window of ``window_s`` that holds for the n - 1
    windows after it, of ``for_window_s`` seconds each. The memory ratio is RSS / ``memory_limit_bytes``, the CPU ratio
    is cores used; availability is the share of scrapes that were answered. Counters do not know the order of requests,
    so consecutive failures are seen as that many failures and not one success in a window. Errors are 5xx.
    """
    return [
        rule
        for name, objective in slo.items()
        for rule in _rules_of(name, objective, job, window_s, for_window_s, memory_limit_bytes)
    ]


def rule_file(name: str, rules: Sequence[AlertRule], *, interval_s: float) -> dict[str, Any]:
    """The rules as a Prometheus rule file with one group."""
    return {
        "groups": [
            {
                "name": name,
                "interval": f"{interval_s:g}s",
                "rules": [
                    {
                        "alert": rule.alert,
                        "expr": rule.expr,
                        "for": f"{rule.for_s:g}s",
                        "labels": {"severity": "page", "objective": rule.objective},
                        "annotations": {"summary": rule.summary},
                    }
                    for rule in rules
                ],
            }
        ]
    }


def _rules_of(
    name: ObjectiveName, objective: Objective, job: str, window_s: float, for_window_s: float, memory_limit_bytes: float
) -> Iterator[AlertRule]:
    for_s = (objective.windows - 1) * for_window_s
    title = "".join(part.capitalize() for part in name.split("-"))
    if name == "consecutive-failures":
        if (limit := objective.roll_back_above) is not None:
            summary = f"{{{{ $labels.target }}}}: more than {limit:g} failures and no success within {window_s:g} s"
            yield AlertRule(title, name, _no_success(job, window_s, limit), 0.0, summary)
        return
    value = _indicator(name, job, window_s, memory_limit_bytes)
    where = f"{{{{ $labels.target }}}}: {name} is {{{{ $value | humanize }}}} {objective.unit}, the limit is"
    if objective.roll_back_above is not None:
        limit = objective.roll_back_above
        yield AlertRule(f"{title}AboveLimit", name, f"{value} > {limit:g}", for_s, f"{where} {limit:g}")
    if objective.roll_back_below is not None:
        limit = objective.roll_back_below
        yield AlertRule(f"{title}BelowLimit", name, f"{value} < {limit:g}", for_s, f"{where} {limit:g}")
    if objective.roll_back_at_once_above is not None:
        limit = objective.roll_back_at_once_above
        enough = f"{_increase(job, window_s)} >= {objective.at_least_requests}"
        yield AlertRule(f"{title}FarAboveLimit", name, f"{value} > {limit:g} and {enough}", 0.0, f"{where} {limit:g}")


def _indicator(name: ObjectiveName, job: str, window_s: float, memory_limit_bytes: float) -> str:
    window = f"[{window_s:g}s]"
    match name:
        case "error-rate":
            errors = f'sum by (target) (rate({_REQUESTS}{{job="{job}",status=~"5.."}}{window}))'
            return f'{errors} / sum by (target) (rate({_REQUESTS}{{job="{job}"}}{window}))'
        case "latency-p95":
            buckets = f'sum by (target, le) (rate({_DURATION}_bucket{{job="{job}"}}{window}))'
            return f"1000 * histogram_quantile(0.95, {buckets})"
        case "latency-mean":
            total = f'sum by (target) (rate({_DURATION}_sum{{job="{job}"}}{window}))'
            return f'1000 * {total} / sum by (target) (rate({_DURATION}_count{{job="{job}"}}{window}))'
        case "memory":
            return f'max by (target) (process_resident_memory_bytes{{job="{job}"}}) / {memory_limit_bytes:.0f}'
        case "cpu":
            return f'sum by (target) (rate(process_cpu_seconds_total{{job="{job}"}}{window}))'
        case "availability":
            return f'avg by (target) (avg_over_time(up{{job="{job}"}}{window}))'
        case "consecutive-failures":
            raise AssertionError("consecutive failures are no single value")


def _no_success(job: str, window_s: float, limit: float) -> str:
    failures = _increase(job, window_s, ',status=~"5.."')
    successes = _increase(job, window_s, ',status!~"5.."')
    return f"{failures} > {limit:g} unless {successes} > 0"


def _increase(job: str, window_s: float, matcher: str = "") -> str:
    return f'sum by (target) (increase({_REQUESTS}{{job="{job}"{matcher}}}[{window_s:g}s]))'
