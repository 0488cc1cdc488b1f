"""A real Prometheus, and Alertmanager where it is installed, on free ports of 127.0.0.1 for as long as a block."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from processes.errors import ProcessError
from processes.ports import free_port
from processes.supervised import supervised, wait_until_ready

SCRAPE_INTERVAL_S = 1.0
_READY_WITHIN_S = 20.0


@dataclass(frozen=True)
class Scraped:
    """One address that Prometheus scrapes: its metrics get the labels ``job`` and ``target``."""

    job: str
    target: str
    metrics_url: str


def find_prometheus() -> str | None:
    """The Prometheus on PATH, if any."""
    return shutil.which("prometheus")


def find_alertmanager() -> str | None:
    """The Alertmanager on PATH, if any (Debian gives it a longer name)."""
    return shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")


@contextmanager
def prometheus_server(
    scraped: Sequence[Scraped], *, rule_files: Sequence[Path], work_dir: Path, webhook_url: str | None
) -> Iterator[str]:
    """Yields the URL of a Prometheus that scrapes every second, evaluates the rules and forgets with the block.

    With a ``webhook_url`` an Alertmanager is started too and sends every alert there at once. Raises ProcessError
    when a server is not installed or does not become ready.
    """
    with ExitStack() as stack:
        alertmanager = stack.enter_context(_alertmanager(webhook_url, work_dir)) if webhook_url else None
        yield stack.enter_context(_prometheus(scraped, rule_files, alertmanager, work_dir))


def check_rules(rule_files: Sequence[Path]) -> str | None:
    """What ``promtool check rules`` finds wrong; None when nothing. Raises ProcessError when it is not installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        raise ProcessError("promtool is not installed")
    done = subprocess.run(
        [promtool, "check", "rules", *map(str, rule_files)], capture_output=True, text=True, timeout=30, check=False
    )
    return None if done.returncode == 0 else (done.stderr or done.stdout).strip()


def prometheus_config(
    scraped: Sequence[Scraped], rule_files: Sequence[Path], alertmanager: str | None
) -> dict[str, Any]:
    """The configuration (YAML, of which JSON is a part) for these addresses, rule files and Alertmanager."""
    config: dict[str, Any] = {
        "global": {"scrape_interval": f"{SCRAPE_INTERVAL_S:g}s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path.resolve()) for path in rule_files],
        "scrape_configs": [_scrape_config(one) for one in scraped],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return config


def _scrape_config(one: Scraped) -> dict[str, Any]:
    url = urlsplit(one.metrics_url)
    return {
        "job_name": f"{one.job}/{one.target}",
        "metrics_path": url.path,
        "scheme": url.scheme,
        "static_configs": [{"targets": [url.netloc], "labels": {"job": one.job, "target": one.target}}],
    }


@contextmanager
def _alertmanager(webhook_url: str, work_dir: Path) -> Iterator[str]:
    binary = find_alertmanager()
    if binary is None:
        raise ProcessError("Alertmanager is not installed")
    config = {
        "route": {
            "receiver": "gonogo",
            "group_by": ["alertname", "target"],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "gonogo", "webhook_configs": [{"url": webhook_url, "send_resolved": False}]}],
    }
    address = f"127.0.0.1:{free_port()}"
    argv = [
        binary,
        f"--config.file={_write(work_dir / 'alertmanager.yml', config)}",
        f"--storage.path={work_dir / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with supervised("alertmanager", argv, log=work_dir / "alertmanager.log") as process:
        wait_until_ready(process, f"http://{address}/-/ready", timeout_s=_READY_WITHIN_S)
        yield address


@contextmanager
def _prometheus(
    scraped: Sequence[Scraped], rule_files: Sequence[Path], alertmanager: str | None, work_dir: Path
) -> Iterator[str]:
    binary = find_prometheus()
    if binary is None:
        raise ProcessError("Prometheus is not installed")
    address = f"127.0.0.1:{free_port()}"
    argv = [
        binary,
        f"--config.file={_write(work_dir / 'prometheus.yml', prometheus_config(scraped, rule_files, alertmanager))}",
        f"--storage.tsdb.path={work_dir / 'prometheus'}",
        f"--web.listen-address={address}",
    ]
    with supervised("prometheus", argv, log=work_dir / "prometheus.log") as process:
        wait_until_ready(process, f"http://{address}/-/ready", timeout_s=_READY_WITHIN_S)
        yield f"http://{address}"


def _write(path: Path, config: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=1))
    return path.resolve()
