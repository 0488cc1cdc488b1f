"""Check that the monitoring watches: targets, rules, alerts, panels and logs, as far as the machine has the parts."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import httpx
import psutil

from decision.objectives import Slo
from evidence.measurement import AttachmentContent, LeftOut, Measurement
from evidence.results import Check, MonitoringResult
from processes.errors import CollectError, ProcessError, UsageError
from processes.target import Target
from processes.wait import wait_for
from telemetry.alert_proof import PROOF_FOR_WINDOW_S, PROOF_JOB, PROOF_WINDOW_S, AlertProof
from telemetry.alert_rules import WINDOW_S, AlertRule, alert_rules, rule_file
from telemetry.dashboards import Panel, read_panels
from telemetry.prometheus_server import (
    Scraped,
    check_rules,
    find_alertmanager,
    find_prometheus,
    prometheus_server,
)
from telemetry.prometheus_source import PrometheusSource, prometheus_source
from telemetry.scrape import scrape
from telemetry.structured_logs import read_log
from telemetry.synthetic_exporter import synthetic_exporter
from telemetry.webhook_receiver import webhook_receiver

_JOB = "release"
_WITHIN_S = 20.0
_RATE_WINDOW = "10s"


@dataclass
class _Seen:
    """What has been seen so far."""

    checks: list[Check] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    attachments: list[AttachmentContent] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def check(self, name: str, passed: bool, observed: str) -> None:
        self.checks.append(Check(name=name, passed=passed, observed=observed))


def check_monitoring(
    targets: Sequence[Target],
    *,
    slo: Slo,
    metric_names: Sequence[str],
    log_fields: Sequence[str],
    dashboards: Sequence[Path],
    kind: Literal["auto", "prometheus", "scrape"],
    work_dir: Path,
    progress: Callable[[float, str], None],
    memory_limit_bytes: float | None = None,
) -> Measurement:
    """Check the monitoring of running ``targets`` in at most about 30 s; returns a MonitoringResult.

    With Prometheus: it scrapes the targets, loads the rules made of ``slo``, every alert is made to fire by synthetic
    metrics that break its limit and must reach a webhook receiver through Alertmanager, and every query of the
    dashboards must return a number (so the targets need traffic meanwhile). Without: only a direct scrape and the
    logs; counts of the rest are 0 and left out by name. ``metric_names`` are looked for at the target called
    candidate (at all, if none is called so), for an older version may not have them yet.

    ``memory_limit_bytes`` is what the memory ratio is a ratio of; None: all memory of this machine.

    The outcome is passed when all that could be checked holds: a claim counts what was checked. Raises UsageError for
    nothing to check and CollectError when ``kind`` is prometheus and none is installed.
    """
    scrapable = [target for target in targets if target.metrics_url]
    if not scrapable or not slo or not metric_names:
        raise UsageError("monitoring needs at least one target with metrics, one objective and one metric name")
    if kind == "prometheus" and not find_prometheus():
        raise CollectError("Prometheus is not installed, and the plan asks for it")
    with_prometheus = kind != "scrape" and find_prometheus() is not None
    work_dir.mkdir(parents=True, exist_ok=True)
    started_at = datetime.now(UTC)
    memory_bytes = memory_limit_bytes or float(psutil.virtual_memory().total)
    rules = alert_rules(slo, job=_JOB, window_s=WINDOW_S, for_window_s=WINDOW_S, memory_limit_bytes=memory_bytes)
    panels = [panel for path in dashboards for panel in read_panels(path, rate_window=_RATE_WINDOW)]
    seen = _Seen()
    if len(scrapable) < len(targets):
        seen.left_out.append(LeftOut("targets", len(targets) - len(scrapable), "the plan names no metrics of theirs"))
    progress(0.05, "metrics of the targets")
    _check_scrapes(seen, scrapable, metric_names)
    if with_prometheus:
        _check_prometheus(seen, scrapable, slo, rules, panels, memory_bytes, work_dir, progress)
    else:
        why = "Prometheus is not installed" if kind == "auto" else "the plan asks for a direct scrape"
        seen.left_out += [LeftOut("alert rules", len(rules), why), LeftOut("panels", len(panels), why)]
    progress(0.95, "logs")
    _check_logs(seen, targets, log_fields)
    failed = [check.name for check in seen.checks if not check.passed]
    result = MonitoringResult(
        source="prometheus" if with_prometheus else "scrape",
        targets=len(targets),
        targets_up=seen.counts["targets_up"],
        metrics_expected=len(metric_names),
        metrics_found=seen.counts["metrics_found"],
        rules=len(rules),
        rules_loaded=seen.counts.get("rules_loaded", 0),
        alerts_proven=seen.counts.get("alerts_proven", 0),
        panels=len(panels),
        panels_with_data=seen.counts.get("panels_with_data", 0),
        log_lines=seen.counts["log_lines"],
        log_lines_parsed=seen.counts["log_lines_parsed"],
        details=seen.checks,
    )
    return Measurement(
        result=result,
        outcome="failed" if failed else "passed",
        summary=_summary(result, failed),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={
            "source": result.source,
            "window_s": WINDOW_S,
            "proof_window_s": PROOF_WINDOW_S,
            "proof_for_window_s": PROOF_FOR_WINDOW_S,
            "memory_limit_bytes": memory_bytes,
        },
        tools={"prometheus-api-client": version("prometheus-api-client"), "httpx": httpx.__version__},
        left_out=seen.left_out,
        attachments=seen.attachments,
    )


def _summary(result: MonitoringResult, failed: Sequence[str]) -> str:
    text = (
        f"{result.source}: {result.targets_up}/{result.targets} targets up, {result.rules_loaded}/{result.rules} rules "
        f"loaded, {result.alerts_proven}/{result.rules} alerts proven, "
        f"{result.panels_with_data}/{result.panels} panels with data"
    )
    return f"{text}; failed: {', '.join(failed)}" if failed else text


def _check_scrapes(seen: _Seen, targets: Sequence[Target], metric_names: Sequence[str]) -> None:
    exposed: dict[str, frozenset[str]] = {}
    for target in targets:
        try:
            exposed[target.name] = scrape(str(target.metrics_url)).names
            seen.check(f"scrape of {target.name}", True, f"{len(exposed[target.name])} metrics")
        except CollectError as error:
            exposed[target.name] = frozenset()
            seen.check(f"scrape of {target.name}", False, str(error))
    expected_of = [target.name for target in targets if target.name == "candidate"] or list(exposed)
    missing = [name for name in metric_names if not all(name in exposed[target] for target in expected_of)]
    seen.counts["targets_up"] = sum(bool(names) for names in exposed.values())
    seen.counts["metrics_found"] = len(metric_names) - len(missing)
    observed = f"missing: {', '.join(missing)}" if missing else ", ".join(metric_names)
    seen.check(f"metrics of {', '.join(expected_of)}", not missing, observed)


def _check_prometheus(
    seen: _Seen,
    targets: Sequence[Target],
    slo: Slo,
    rules: Sequence[AlertRule],
    panels: Sequence[Panel],
    memory_bytes: float,
    work_dir: Path,
    progress: Callable[[float, str], None],
) -> None:
    quick = alert_rules(
        slo, job=PROOF_JOB, window_s=PROOF_WINDOW_S, for_window_s=PROOF_FOR_WINDOW_S, memory_limit_bytes=memory_bytes
    )
    files = [_write_rules(work_dir, _JOB, rules), _write_rules(work_dir, PROOF_JOB, quick)]
    seen.attachments += [AttachmentContent(path.name, "application/json", path.read_bytes()) for path in files]
    try:
        problem = check_rules(files)
        seen.check("promtool check rules", problem is None, problem or f"{len(rules)} rules")
    except ProcessError as error:
        seen.left_out.append(LeftOut("promtool check rules", 1, str(error)))
    scraped = [Scraped(_JOB, target.name, str(target.metrics_url)) for target in targets]
    with ExitStack() as stack:
        receiver = stack.enter_context(webhook_receiver())
        exporter = stack.enter_context(synthetic_exporter(slo, quick, memory_bytes))
        proof = AlertProof(quick, exporter, receiver)
        webhook_url = receiver.url if find_alertmanager() else None
        progress(0.15, "Prometheus starts")
        url = stack.enter_context(
            prometheus_server(
                [*scraped, *proof.scraped()], rule_files=files, work_dir=work_dir, webhook_url=webhook_url
            )
        )
        source = stack.enter_context(prometheus_source(url))
        progress(0.3, "targets and rules")
        _check_up(seen, source, targets)
        _check_loaded(seen, url, rules)
        progress(0.4, "every alert is made to fire")
        if webhook_url:
            _reached(proof.complete)
            seen.counts["alerts_proven"] = len(proof.proven())
            seen.checks += proof.checks()
            why = f"proven with windows of {PROOF_WINDOW_S:g} s by synthetic metrics; at {WINDOW_S:g} s only loaded"
            seen.left_out.append(LeftOut("alerts at their full window", len(rules), why))
        else:
            seen.left_out.append(LeftOut("alerts at a receiver", len(rules), "Alertmanager is not installed"))
        progress(0.8, "panels")
        _check_panels(seen, source, panels)


def _write_rules(work_dir: Path, name: str, rules: Sequence[AlertRule]) -> Path:
    path = work_dir / f"rules-{name}.json"
    path.write_text(json.dumps(rule_file(name, rules, interval_s=1.0), indent=1))
    return path


def _reached(condition: Callable[[], bool]) -> bool:
    """Whether the condition held in time."""
    try:
        wait_for(condition, what="monitoring", timeout_s=_WITHIN_S, interval_s=0.2)
    except ProcessError:
        return False
    return True


def _check_up(seen: _Seen, source: PrometheusSource, targets: Sequence[Target]) -> None:
    def up() -> set[str]:
        return {sample.labels["target"] for sample in source.query(f'up{{job="{_JOB}"}} == 1')}

    _reached(lambda: len(up()) == len(targets))
    names = up()
    seen.counts["targets_up"] = len(names)
    seen.check("targets up in Prometheus", len(names) == len(targets), ", ".join(sorted(names)) or "none")


def _check_loaded(seen: _Seen, url: str, rules: Sequence[AlertRule]) -> None:
    """A rule counts as loaded when Prometheus has evaluated it without an error."""
    expected = {rule.alert for rule in rules}

    def loaded() -> set[str]:
        return {rule["name"] for rule in _rules_in(url, _JOB) if rule["health"] == "ok"} & expected

    _reached(lambda: loaded() == expected)
    missing = sorted(expected - loaded())
    seen.counts["rules_loaded"] = len(expected) - len(missing)
    seen.check("rules loaded", not missing, f"not loaded: {', '.join(missing)}" if missing else f"{len(expected)}")


def _rules_in(url: str, group: str) -> Iterator[Mapping[str, Any]]:
    try:
        answer = httpx.get(f"{url}/api/v1/rules", timeout=5.0, trust_env=False).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise CollectError(f"Prometheus does not tell its rules: {error}") from error
    for one in answer["data"]["groups"]:
        if one["name"] == group:
            yield from one["rules"]


def _check_panels(seen: _Seen, source: PrometheusSource, panels: Sequence[Panel]) -> None:
    lacking: dict[int, str] = dict.fromkeys(range(len(panels)), "not asked")

    def all_have_data() -> bool:
        for number in list(lacking):
            if lacks := _lacks(source, panels[number]):
                lacking[number] = lacks
            else:
                del lacking[number]
        return not lacking

    _reached(all_have_data)
    seen.counts["panels_with_data"] = len(panels) - len(lacking)
    for number, panel in enumerate(panels):
        seen.check(f"panel {panel.title}", number not in lacking, lacking.get(number, "every query returns data"))


def _lacks(source: PrometheusSource, panel: Panel) -> str | None:
    """Why a panel shows nothing, or only a part; None when every query returns a number."""
    if not panel.queries:
        return "it has no query"
    for query in panel.queries:
        try:
            if not any(sample.value is not None for sample in source.query(query)):
                return f"no number for {query}"
        except CollectError as error:
            return str(error)
    return None


def _check_logs(seen: _Seen, targets: Sequence[Target], fields: Sequence[str]) -> None:
    lines = parsed = 0
    for target in targets:
        if target.log is None:
            seen.left_out.append(LeftOut(f"log of {target.name}", 1, "the target was not started here"))
            continue
        log = read_log(target.log, fields)
        lines += log.lines
        parsed += log.parsed
        whole = 0 < log.lines == log.parsed
        observed = f"{log.parsed} of {log.lines} lines are JSON with {', '.join(fields) or 'any fields'}"
        bad = f"; such as {log.bad[0]!r}" if log.bad else ""
        seen.check(f"log of {target.name}", whole, observed + bad)
    seen.counts |= {"log_lines": lines, "log_lines_parsed": parsed}
