import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from decision.objectives import Slo
from decision.quantities import parse_number
from telemetry.dashboards import read_panels
from telemetry.prometheus_server import check_rules
from telemetry.render_rules import rendered_rules

_ROOT = Path(__file__).parents[3]
_PLAN: dict[str, Any] = YAML(typ="safe").load((_ROOT / "releases/ion-phase4/plan.yaml").read_text())
_RULES = _ROOT / "deploy/prometheus/ion-phase4.rules.yml"
_BOARD = _ROOT / "deploy/grafana/ion-phase4.json"


def test_the_rule_file_is_what_the_plan_says() -> None:
    slo = TypeAdapter(Slo).validate_python(_PLAN["slo"])
    limits = {c["memory_limit"] for c in _PLAN["collect"].values() if "memory_limit" in c} or {"512MB"}
    (limit,) = limits
    assert _RULES.read_text() == rendered_rules(slo, memory_limit_bytes=parse_number(limit)), (
        "render it again: python -m telemetry.render_rules releases/ion-phase4/plan.yaml"
    )


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_accepts_rules_and_configuration() -> None:
    assert check_rules([_RULES]) is None
    config = _ROOT / "deploy/prometheus/prometheus.yml"
    done = subprocess.run(["promtool", "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("amtool"), reason="amtool is not installed")
def test_amtool_accepts_the_alertmanager_configuration() -> None:
    config = _ROOT / "deploy/alertmanager/alertmanager.yml"
    done = subprocess.run(["amtool", "check-config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_dashboard_has_ten_panels_that_ask_the_release_job() -> None:
    panels = read_panels(_BOARD, rate_window="1m")
    assert len({panel.title for panel in panels}) == len(panels) == 10
    assert all('job="release"' in query for panel in panels for query in panel.queries)


def test_every_panel_that_the_runbooks_name_exists() -> None:
    runbooks = (_ROOT / "releases/ion-phase4/docs/runbooks.md").read_text()
    titles = [panel["title"] for panel in json.loads(_BOARD.read_text())["panels"]]
    named = [
        name.strip("*")
        for part in runbooks.replace("panels *", "panel *").replace("Panel *", "panel *").split("panel *")[1:]
        for name in [part.split("*")[0]]
    ]
    assert named
    assert set(named) <= set(titles)
