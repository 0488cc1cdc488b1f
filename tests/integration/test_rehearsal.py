"""Whole rollouts through a router, between two real processes, under closed-loop traffic."""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from decision.objectives import Stage
from processes.ports import free_port
from processes.supervised import supervised, wait_until_ready
from processes.target import Target
from rollouts.auto_rollback import judge_auto_rollback
from rollouts.haproxy_router import find_haproxy
from rollouts.open_router import open_router
from rollouts.rehearsal import rehearse
from tests.unit.flows.replaying import replays
from tests.unit.rollouts.requests import SLO

PROCESSES = Path(__file__).with_name("rollout_processes.py")
HAPROXY = pytest.param(
    "haproxy", marks=pytest.mark.skipif(find_haproxy() is None, reason="HAProxy is not installed on this machine")
)
STAGES = [
    Stage.model_validate({"name": "canary", "share": "5%", "requests": 1000, "salt": "a"}),
    Stage.model_validate({"name": "ab-test", "share": "50%", "requests": 1000, "salt": "b"}),
    Stage.model_validate({"name": "full", "share": "100%"}),
]


class Live:
    """A router between a stable and a candidate process, and users that ask through it."""

    def __init__(self, stack, tmp_path, kind, *, error_rate=0.0, delay_ms=0.0):
        self.stable, self.stable_process = self._backend(stack, tmp_path, "stable", 0.0, 5.0)
        self.candidate, self.candidate_process = self._backend(stack, tmp_path, "candidate", error_rate, 5.0 + delay_ms)
        self.router = stack.enter_context(
            open_router(
                kind=kind,
                stable_url=self.stable.url,
                candidate_url=self.candidate.url,
                salt="a",
                work_dir=tmp_path / "work",
            )
        )
        argv = [sys.executable, str(PROCESSES), "users", self.router.url, "20000", "8"]
        self.users = stack.enter_context(supervised("users", argv, log=tmp_path / "users.log"))
        self.tmp_path = tmp_path

    def _backend(self, stack, tmp_path, name, error_rate, delay_ms):
        port = free_port()
        argv = [sys.executable, str(PROCESSES), "backend", str(port), name, str(error_rate), str(delay_ms)]
        process = stack.enter_context(supervised(name, argv, log=tmp_path / f"{name}.log"))
        wait_until_ready(process, f"http://127.0.0.1:{port}/ready", timeout_s=20) if not error_rate else None
        return Target(name, f"http://127.0.0.1:{port}", pid=process.pid), process

    def rehearse(self, progress=lambda *_: None, timeout_s=120):
        return rehearse(
            self.router,
            stable=self.stable,
            candidate=self.candidate,
            stages=STAGES,
            stage_minimum_s=1,
            slo={name: objective for name, objective in SLO.items() if name != "cpu"},  # the load here knows no rate
            budget=0.01,
            memory_limit_bytes=512e6,
            database_url=f"sqlite:///{self.tmp_path}/rollout.sqlite",
            rollout_id="test",
            timeout_s=timeout_s,
            progress=progress,
            traffic_alive=self.users.running,
        )


@pytest.fixture(params=[HAPROXY, "embedded"])
def live(request, tmp_path):
    with ExitStack() as stack:
        yield lambda **options: Live(stack, tmp_path, request.param, **options)


def test_a_good_candidate_is_promoted_through_every_stage(live, tmp_path):
    measured = live().rehearse()
    result = measured.result
    assert measured.outcome == "passed", result.why
    assert [stage.outcome for stage in result.stages] == ["promoted"] * 3
    assert result.canary_requests >= 2200
    assert all(metric.verdict == "non-inferior" for stage in result.stages[:2] for metric in stage.metrics)
    journal = next(a for a in measured.attachments if a.name == "journal.jsonl").content.decode()
    assert journal.count('"expose"') == journal.count('"promote"') == 3
    assert judge_auto_rollback(measured, {"FAULT": "none"}).outcome == "failed"
    assert replays(measured, tmp_path)


@pytest.mark.parametrize("fault", [{"error_rate": 0.06}, {"delay_ms": 300}], ids=["6 % errors", "300 ms slower"])
def test_a_bad_candidate_is_rolled_back_by_the_judge(live, tmp_path, fault):
    measured = live(**fault).rehearse()
    result = measured.result
    assert measured.outcome == "failed"
    assert result.outcome == "rolled-back"
    assert result.stages_completed == 0
    assert result.requests_to_harm > 0
    assert result.harm_to_stable_ms is not None
    assert "rolled back in stage canary" in measured.summary
    drill = judge_auto_rollback(measured, {"FAULT": "x"})
    assert drill.outcome == "passed"
    assert replays(measured, tmp_path / "rollout")
    assert replays(drill, tmp_path / "drill")


def test_a_candidate_that_dies_is_never_promoted(live, tmp_path):
    parts = live()

    def kill(done, _text):
        if done > 0.1:
            parts.candidate_process.stop()

    measured = parts.rehearse(kill, timeout_s=20)
    assert measured.outcome in ("failed", "inconclusive")
    assert not measured.result.completed
    assert replays(measured, tmp_path)


def test_a_rollout_without_traffic_freezes(live, tmp_path):
    parts = live()

    def stop(done, _text):
        if done > 0.1:
            parts.users.stop()

    measured = parts.rehearse(stop, timeout_s=40)
    assert measured.outcome == "inconclusive"
    assert measured.result.outcome == "frozen"
    assert "stopped" in measured.summary
    assert replays(measured, tmp_path)
