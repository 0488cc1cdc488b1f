import json
import shutil
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from decision.objectives import Slo
from telemetry.alert_rules import AlertRule, alert_rules, rule_file
from telemetry.prometheus_server import check_rules

_SLO: Slo = TypeAdapter(Slo).validate_python(
    {
        "error-rate": {
            "unit": "ratio",
            "promote_at_most": "0.5%",
            "roll_back_above": "1%",
            "for": "3 windows",
            "roll_back_at_once_above": "5%",
            "at_least_requests": 100,
        },
        "latency-p95": {"unit": "ms", "roll_back_above": 500, "for": "3 windows"},
        "latency-mean": {"unit": "ms", "roll_back_above": 500},
        "memory": {"unit": "ratio", "roll_back_above": "85%", "for": "2 windows"},
        "cpu": {"unit": "ratio", "roll_back_above": "80%", "for": "3 windows"},
        "availability": {"unit": "ratio", "roll_back_below": "99%"},
        "consecutive-failures": {"unit": "count", "roll_back_above": 9},
    }
)


def _rules(slo: Slo = _SLO) -> dict[str, AlertRule]:
    rules = alert_rules(slo, job="release", window_s=60, for_window_s=60, memory_limit_bytes=512e6)
    return {rule.alert: rule for rule in rules}


def test_every_roll_back_limit_gets_exactly_one_alert() -> None:
    assert list(_rules()) == [
        "ErrorRateAboveLimit",
        "ErrorRateFarAboveLimit",
        "LatencyP95AboveLimit",
        "LatencyMeanAboveLimit",
        "MemoryAboveLimit",
        "CpuAboveLimit",
        "AvailabilityBelowLimit",
        "ConsecutiveFailures",
    ]


def test_an_objective_that_only_gates_promotion_gets_no_alert() -> None:
    slo = TypeAdapter(Slo).validate_python({"error-rate": {"unit": "ratio", "promote_at_most": "0.5%"}})
    assert _rules(slo) == {}


def test_limits_and_waiting_times_come_from_the_objective() -> None:
    rules = _rules()
    assert rules["ErrorRateAboveLimit"].expr.endswith("> 0.01")
    assert rules["ErrorRateAboveLimit"].for_s == 120
    assert rules["MemoryAboveLimit"].for_s == 60
    assert rules["AvailabilityBelowLimit"].expr.endswith("< 0.99")
    assert "> 0.05 and " in rules["ErrorRateFarAboveLimit"].expr
    assert rules["ErrorRateFarAboveLimit"].expr.endswith(">= 100")
    assert rules["ErrorRateFarAboveLimit"].for_s == 0


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_accepts_the_rules_and_refuses_broken_ones(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(rule_file("release", list(_rules().values()), interval_s=15)))
    assert check_rules([path]) is None
    broken = AlertRule("Broken", "cpu", "sum by (", 0, "")
    path.write_text(json.dumps(rule_file("release", [broken], interval_s=15)))
    assert "parse error" in (check_rules([path]) or "")
