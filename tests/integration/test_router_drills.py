import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evidence.measurement import Measurement
from evidence.results import DrillResult
from processes.errors import CollectError, ProcessError
from processes.ports import free_port
from processes.supervised import Supervised, start, supervised, wait_until_ready
from rollouts.kept_router import KeptRouter, kept_router
from rollouts.router_drills import rehearse_lease_lapse, rehearse_router_restart
from tests.integration.test_rollback_drill import KINDS, PROCESSES, backend
from tests.unit.flows.replaying import replays


@contextmanager
def under_traffic(kind: str, folder: Path) -> Iterator[tuple[KeptRouter, Supervised]]:
    ports = {name: free_port() for name in ("stable", "canary")}
    with (
        supervised("stable", backend("stable", ports["stable"]), log=folder / "stable.log") as stable,
        supervised("canary", backend("canary", ports["canary"]), log=folder / "canary.log") as canary,
        kept_router(
            kind=kind,  # type: ignore[arg-type]
            stable_url=f"http://127.0.0.1:{ports['stable']}",
            candidate_url=f"http://127.0.0.1:{ports['canary']}",
            work_dir=folder,
        ) as kept,
    ):
        wait_until_ready(stable, f"http://127.0.0.1:{ports['stable']}/", timeout_s=20)
        wait_until_ready(canary, f"http://127.0.0.1:{ports['canary']}/", timeout_s=20)
        argv = [sys.executable, str(PROCESSES), "users", kept.url, "20000", "2", "0.01"]
        with supervised("users", argv, log=folder / "users.log") as users:
            yield kept, users


def result_of(measurement: Measurement) -> DrillResult:
    assert isinstance(measurement.result, DrillResult)
    print([(step.name, step.observed) for step in measurement.result.steps], measurement.summary)
    assert measurement.outcome == "passed", [step for step in measurement.result.steps if not step.passed]
    return measurement.result


@pytest.mark.parametrize("kind", KINDS)
def test_when_the_controller_is_killed_everyone_is_on_stable_within_three_seconds(kind: str, tmp_path: Path) -> None:
    with under_traffic(kind, tmp_path) as (kept, users):
        measurement = rehearse_lease_lapse(
            kept, traffic_alive=users.running, progress=lambda done, text: None, work_dir=tmp_path
        )
    result = result_of(measurement)
    assert (result.drill, result.failed, result.errors) == ("lease-lapse", 0, 0)
    assert result.recovery_ms is not None
    assert 0 < result.recovery_ms < 3000
    assert replays(measurement, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_router_comes_back_on_stable_is_told_again_and_refuses_nobody(kind: str, tmp_path: Path) -> None:
    with under_traffic(kind, tmp_path) as (kept, users):
        measurement = rehearse_router_restart(
            kept, path="/", traffic_alive=users.running, progress=lambda done, text: None
        )
    result = result_of(measurement)
    assert (result.drill, result.failed, result.errors) == ("router-restart", 0, 0)
    assert result.recovery_ms is not None
    assert replays(measurement, tmp_path)


def test_drills_of_the_router_without_traffic_are_errors_and_no_pass(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ended = start("users", [sys.executable, "-c", ""], log=tmp_path / "users.log")
    ended.wait(20)
    with kept_router(kind="embedded", stable_url=url, candidate_url=url, work_dir=tmp_path) as kept:
        with pytest.raises(CollectError, match="traffic"):
            rehearse_lease_lapse(kept, traffic_alive=ended.running, progress=lambda done, text: None, work_dir=tmp_path)
        with pytest.raises(CollectError, match="traffic"):
            rehearse_router_restart(kept, path="/", traffic_alive=ended.running, progress=lambda done, text: None)


def test_a_router_that_cannot_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "requests.log").mkdir()
    with (
        pytest.raises(ProcessError, match="the router ended"),
        kept_router(
            kind="embedded", stable_url="http://127.0.0.1:1", candidate_url="http://127.0.0.1:1", work_dir=tmp_path
        ),
    ):
        pass
