import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter

from decision.objectives import Slo
from telemetry.alert_rules import alert_rules
from telemetry.synthetic_exporter import synthetic_metrics

_SLO: Slo = TypeAdapter(Slo).validate_python(
    {
        "error-rate": {"unit": "ratio", "roll_back_above": "1%", "roll_back_at_once_above": "5%"},
        "latency-p95": {"unit": "ms", "roll_back_above": 500},
        "memory": {"unit": "ratio", "roll_back_above": "85%"},
        "cpu": {"unit": "ratio", "roll_back_above": "80%"},
        "availability": {"unit": "ratio", "roll_back_below": "99%"},
        "consecutive-failures": {"unit": "count", "roll_back_above": 9},
    }
)
_RULES = {r.alert: r for r in alert_rules(_SLO, job="p", window_s=5, for_window_s=1, memory_limit_bytes=1000)}


def _values(alert: str | None, elapsed_s: float) -> dict[tuple[str, str], float]:
    text = synthetic_metrics(_SLO, _RULES[alert] if alert else None, 1000, elapsed_s)
    assert text is not None
    return {
        (sample.name, sample.labels.get("status") or sample.labels.get("le") or ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(("alert", "share"), [("ErrorRateAboveLimit", 0.015), ("ErrorRateFarAboveLimit", 0.075)])
def test_errors_are_between_the_limit_and_one(alert: str, share: float) -> None:
    values = _values(alert, 9)
    errors, successes = values["http_requests_total", "500"], values["http_requests_total", "200"]
    assert errors / (errors + successes) == pytest.approx(share)


def test_consecutive_failures_have_no_success_at_all() -> None:
    assert ("http_requests_total", "200") not in _values("ConsecutiveFailures", 9)


def test_ratios_near_one_are_broken_without_passing_one() -> None:
    assert 850 < _values("MemoryAboveLimit", 9)["process_resident_memory_bytes", ""] <= 1000
    used = [_values("CpuAboveLimit", t)["process_cpu_seconds_total", ""] for t in (0, 10)]
    assert 8 < used[1] - used[0] <= 10


def test_an_unavailable_target_does_not_answer() -> None:
    assert synthetic_metrics(_SLO, _RULES["AvailabilityBelowLimit"], 1000, 9) is None


def test_healthy_metrics_break_no_limit() -> None:
    values = _values(None, 9)
    assert values["http_requests_total", "500"] == 0
    assert values["process_resident_memory_bytes", ""] < 850
    assert values["http_request_duration_seconds_sum", ""] / values["http_request_duration_seconds_count", ""] < 0.5


def test_counters_rise() -> None:
    first, later = _values("ErrorRateAboveLimit", 1), _values("ErrorRateAboveLimit", 2)
    assert later["http_requests_total", "500"] > first["http_requests_total", "500"]
