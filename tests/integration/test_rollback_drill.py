import sys
from pathlib import Path

import pytest

from evidence.results import DrillResult
from processes.errors import CollectError
from processes.ports import free_port
from processes.supervised import start, supervised, wait_until_ready
from rollouts.drill import rehearse_rollback
from rollouts.haproxy_router import find_haproxy
from rollouts.open_router import open_router
from tests.unit.flows.replaying import replays

PROCESSES = Path(__file__).with_name("rollout_processes.py")
KINDS = [
    pytest.param(
        "haproxy", marks=pytest.mark.skipif(find_haproxy() is None, reason="HAProxy is not installed on this machine")
    ),
    "embedded",
]


def backend(name: str, port: int) -> list[str]:
    return [sys.executable, str(PROCESSES), "backend", str(port), name, "0", "0"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_rollback_and_a_lapsed_lease_take_everyone_to_stable_without_a_failed_request(
    kind: str, tmp_path: Path
) -> None:
    ports = free_port(), free_port()
    with (
        supervised("stable", backend("stable", ports[0]), log=tmp_path / "stable.log") as stable,
        supervised("canary", backend("canary", ports[1]), log=tmp_path / "canary.log") as canary,
        open_router(
            kind=kind,  # type: ignore[arg-type]
            stable_url=f"http://127.0.0.1:{ports[0]}",
            candidate_url=f"http://127.0.0.1:{ports[1]}",
            salt="drill",
            work_dir=tmp_path,
        ) as router,
    ):
        wait_until_ready(stable, f"http://127.0.0.1:{ports[0]}/", timeout_s=20)
        wait_until_ready(canary, f"http://127.0.0.1:{ports[1]}/", timeout_s=20)
        argv = [sys.executable, str(PROCESSES), "users", router.url, "20000", "3"]
        with supervised("users", argv, log=tmp_path / "users.log") as users:
            measurement = rehearse_rollback(router, traffic_alive=users.running, progress=lambda done, text: None)
    result = measurement.result
    assert isinstance(result, DrillResult)
    assert measurement.outcome == "passed", [step for step in result.steps if not step.passed]
    assert (result.drill, result.failed, result.errors) == ("rollback", 0, 0)
    assert result.recovery_ms is not None
    assert result.recovery_ms < 2000
    assert result.requests > 200
    assert replays(measurement, tmp_path)


def test_a_drill_without_traffic_is_an_error_and_no_pass(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ended = start("users", [sys.executable, "-c", ""], log=tmp_path / "users.log")
    ended.wait(20)
    with (
        open_router(kind="embedded", stable_url=url, candidate_url=url, salt="s", work_dir=tmp_path) as router,
        pytest.raises(CollectError, match="traffic"),
    ):
        rehearse_rollback(router, traffic_alive=ended.running, progress=lambda done, text: None)
