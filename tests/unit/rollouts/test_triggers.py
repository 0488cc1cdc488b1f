from decision.objectives import Objective, Slo
from rollouts.samples import RequestSample
from rollouts.triggers import RequestWindow, ResourceWindow, broken_limits, requests_needed
from rollouts.windows import CanaryWindows

SLO: Slo = {
    name: Objective.model_validate(limits)
    for name, limits in {
        "error-rate": {
            "unit": "ratio", "roll_back_above": "1%", "for": "3 windows", "roll_back_at_once_above": "5%",
            "at_least_requests": 100,
        },
        "latency-p95": {"unit": "ms", "roll_back_above": 500, "for": "3 windows"},
        "memory": {"unit": "ratio", "roll_back_above": "85%", "for": "2 windows"},
        "cpu": {"unit": "ratio", "roll_back_above": "80%", "for": "3 windows"},
        "availability": {"unit": "ratio", "roll_back_below": "99%"},
        "consecutive-failures": {"unit": "count", "roll_back_above": 9},
    }.items()
}  # fmt: skip
NOTHING = RequestWindow(0, 0, 0, None)


def broken(
    windows: list[RequestWindow] | None = None,
    resources: list[ResourceWindow] | None = None,
    now: RequestWindow = NOTHING,
    failures: int = 0,
) -> list[str]:
    found = broken_limits(
        SLO,
        request_windows=windows or [],
        open_window=now,
        resource_windows=resources or [],
        consecutive_failures=failures,
    )
    return [trigger.objective for trigger in found]


def window(errors: int = 0, p95_ms: float | None = 20.0, requests: int = 100, unavailable: int = 0) -> RequestWindow:
    return RequestWindow(requests, errors, unavailable, p95_ms)


def test_nothing_seen_breaks_no_limit() -> None:
    assert broken() == []


def test_errors_above_the_limit_for_three_windows_roll_back_and_for_two_do_not() -> None:
    assert broken([window(2), window(2)]) == []
    assert broken([window(2), window(2), window(2)]) == ["error-rate"]
    assert broken([window(2), window(2), window(1)]) == []


def test_many_errors_roll_back_at_once_only_with_enough_requests() -> None:
    assert broken(now=window(6, requests=100)) == ["error-rate"]
    assert broken(now=window(50, requests=99)) == []
    assert broken([window(60, requests=1000)]) == ["error-rate"]


def test_slow_memory_cpu_and_failures_in_a_row_roll_back() -> None:
    assert broken([window(p95_ms=501)] * 3) == ["latency-p95"]
    assert broken(resources=[ResourceWindow(0.9, 0.1)] * 2) == ["memory"]
    assert broken(resources=[ResourceWindow(0.1, 0.9)] * 3) == ["cpu"]
    assert broken([window(unavailable=2)]) == ["availability"]
    assert broken(failures=9) == []
    assert broken(failures=10) == ["consecutive-failures"]


def test_an_unknown_value_neither_counts_nor_interrupts() -> None:
    known, unknown = ResourceWindow(0.9, 0.9), ResourceWindow(None, None)
    assert broken(resources=[known, unknown, known]) == ["memory"]


def test_one_error_alone_cannot_exceed_the_limit_of_a_window() -> None:
    needed = requests_needed(SLO)
    assert needed == 100
    assert broken([window(1, requests=needed, unavailable=1)] * 3) == []


def sample(at_s: float, status: int = 200) -> RequestSample:
    return RequestSample(at_s, "canary", status, 5.0, "u", "canary")


def test_a_window_of_few_requests_stays_open_until_it_says_something() -> None:
    windows = CanaryWindows(requests_needed=50, memory_limit_bytes=100)
    windows.add_requests([sample(n) for n in range(49)])
    assert not windows.closed
    windows.add_requests([sample(49.0)])
    assert [closed.requests for closed in windows.closed] == [50]
    assert windows.open_window().requests == 0


def test_failures_in_a_row_are_counted_over_windows_and_end_with_an_answer() -> None:
    windows = CanaryWindows(requests_needed=2, memory_limit_bytes=100)
    windows.add_requests([sample(n * 11.0, 500) for n in range(7)])
    assert windows.consecutive_failures == 7
    windows.add_requests([sample(100.0)])
    assert windows.consecutive_failures == 0


def test_resources_are_averaged_over_ten_seconds_and_a_restart_begins_anew() -> None:
    windows = CanaryWindows(requests_needed=2, memory_limit_bytes=100)
    for at_s in range(11):
        windows.add_reading(float(at_s), 50, at_s * 0.9)
    assert windows.resources[0].memory_ratio == 0.5
    assert abs((windows.resources[0].cpu_ratio or 0) - 0.9) < 1e-9
    windows.add_reading(12.0, 50, 0.1)
    windows.add_reading(21.0, 50, 1.0)
    assert len(windows.resources) == 1
