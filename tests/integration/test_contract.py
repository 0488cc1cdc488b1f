"""Contract checks against real services on the loopback interface."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from collectors.contract import check_contract
from evidence.measurement import Measurement
from evidence.results import Check, ContractResult
from processes.errors import CollectError
from processes.ports import free_port
from processes.target import Target
from processes.wait import wait_for
from tests.unit.flows.replaying import replays


class Question(BaseModel):
    words: str


class Score(BaseModel):
    score: float


def _service(behaviour: str = "sound") -> FastAPI:
    app = FastAPI()

    @app.post("/score")
    def score(question: Question) -> Score:
        values = {"constant": 0.82, "random": random.random()}
        return Score(score=values.get(behaviour, float(len(question.words))))

    @app.get("/sessions/{session}", responses={404: {"content": {"application/problem+json": {}}}})
    def session(session: str) -> JSONResponse:
        if behaviour == "undocumented":
            raise HTTPException(410)
        if behaviour == "canned":
            return JSONResponse({"id": session})
        detail = "KeyError in /srv/app/sessions.py" if behaviour == "leaky" else "no such session"
        problem = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": detail}
        return JSONResponse(problem, status_code=404, media_type="application/problem+json")

    @app.get("/health")
    def health() -> Score:
        if behaviour == "unlike-its-schema":
            return JSONResponse({"score": "high"})  # type: ignore[return-value]
        return Score(score=1)

    return app


@contextmanager
def _running(app: FastAPI) -> Iterator[Target]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started, what="test service", timeout_s=10)
        yield Target("service", f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(10)


_CHECKS: list[dict[str, Any]] = [
    {"check": "openapi", "name": "schema"},
    {"check": "requests", "name": "unknown-session-404", "requests": [{"path": "/sessions/none", "expect": 404}]},
    {
        "check": "answers-differ",
        "name": "answers-differ",
        "path": "/score",
        "bodies": [{"words": "a"}, {"words": "bb"}, {"words": "ccc"}],
        "field": "score",
    },
    {"check": "problem-details", "name": "problem-details", "requests": [{"path": "/sessions/none"}]},
    {
        "check": "no-internals",
        "name": "no-internals",
        "requests": [{"method": "POST", "path": "/score", "text": "{", "expect": 422}],
    },
]


def _check(behaviour: str) -> tuple[Measurement, dict[str, Check]]:
    with _running(_service(behaviour)) as target:
        measurement = check_contract(target, _CHECKS)
    assert isinstance(measurement.result, ContractResult)
    return measurement, {check.name: check for check in measurement.result.details}


def test_a_sound_service_holds_its_contract(tmp_path: Path) -> None:
    measurement, checks = _check("sound")
    assert {name: check.observed for name, check in checks.items() if not check.passed} == {}
    assert measurement.outcome == "passed"
    assert isinstance(measurement.result, ContractResult)
    assert (measurement.result.checks, measurement.result.passed, measurement.result.requests) == (5, 5, 9)
    assert "3 of 3 operations called" in checks["schema"].observed
    assert replays(measurement, tmp_path)


@pytest.mark.parametrize(
    ("behaviour", "broken"),
    [
        ("constant", {"answers-differ"}),
        ("random", {"answers-differ"}),
        ("leaky", {"no-internals"}),
        ("canned", {"unknown-session-404", "problem-details"}),
        ("undocumented", {"schema", "unknown-session-404", "problem-details"}),
        ("unlike-its-schema", {"schema"}),
    ],
)
def test_each_breach_fails_its_own_checks_and_no_other(behaviour: str, broken: set[str], tmp_path: Path) -> None:
    measurement, checks = _check(behaviour)
    assert {name for name, check in checks.items() if not check.passed} == broken
    assert measurement.outcome == "failed"
    assert replays(measurement, tmp_path)


def test_a_target_that_is_not_there_is_an_error_and_no_measurement() -> None:
    with pytest.raises(CollectError, match="cannot be reached"):
        check_contract(Target("service", f"http://127.0.0.1:{free_port()}"), _CHECKS)
