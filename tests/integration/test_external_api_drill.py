"""The external API drill against small candidates that handle, or do not handle, a failing API."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, HTTPException

from collectors.external_api_drill import drill_external_api
from collectors.faulty_server import faulty_server
from evidence.measurement import Measurement
from evidence.results import DrillResult
from processes.errors import UsageError
from processes.ports import free_port
from processes.target import Target
from processes.wait import wait_for
from tests.unit.flows.replaying import replays

_JOURNEY: dict[str, Any] = {
    "steps": [
        {"method": "POST", "path": "/start", "save": {"id": "id"}},
        {"method": "POST", "path": "/turn/{id}", "has": ["text"]},
    ],
    "text_field": "text",
    "when_healthy": {"source": "api"},
    "when_faulty": {"source": "template"},
}


def _candidate(api_url: str, behaviour: str) -> FastAPI:
    app = FastAPI()

    @app.post("/start")
    def start() -> dict[str, str]:
        return {"id": "s1"}

    async def ask() -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=0.3) as client:
            answer = await client.post(f"{api_url}/v1/chat/completions", json={"messages": []})
            return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])

    @app.post("/turn/{session}")
    async def turn(session: str) -> dict[str, str]:
        template = {"text": "a template", "source": "template"}
        if behaviour == "never asks":
            return template
        try:
            # Without a deadline over the whole call, a trickling answer outlives every read time-out.
            call = ask() if behaviour == "no deadline" else asyncio.wait_for(ask(), 0.4)
            return {"text": await call, "source": "api"}
        except (httpx.HTTPError, TimeoutError):
            if behaviour == "no fallback":
                raise HTTPException(502) from None
            return template

    return app


def _starting(behaviour: str) -> Callable[[str], AbstractContextManager[Target]]:
    @contextmanager
    def start_candidate(api_url: str) -> Iterator[Target]:
        port = free_port()
        app = _candidate(api_url, behaviour)
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            wait_for(lambda: server.started, what="test candidate", timeout_s=10)
            yield Target("candidate", f"http://127.0.0.1:{port}")
        finally:
            server.should_exit = True
            thread.join(10)

    return start_candidate


def _drill(behaviour: str, faults: list[Any]) -> tuple[Measurement, DrillResult]:
    measurement = drill_external_api(_starting(behaviour), faults, journey=_JOURNEY, answer_within_ms=1500)
    assert isinstance(measurement.result, DrillResult)
    return measurement, measurement.result


def _failed(result: DrillResult) -> set[str]:
    return {step.name for step in result.steps if not step.passed}


def test_a_candidate_with_a_deadline_and_a_fallback_passes_every_fault(tmp_path: Path) -> None:
    measurement, result = _drill("sound", ["slow", "hang", "reset", "http-500"])
    assert _failed(result) == set()
    assert (measurement.outcome, result.drill, result.errors, result.recovery_ms) == ("passed", "external-api", 0, 0)
    assert result.requests == 5 * 3 * 2
    assert result.passed == 5 * 4
    assert replays(measurement, tmp_path)
    assert measurement.attachments[0].content.count(b"\n") == result.requests


def test_a_candidate_that_never_asks_the_api_fails_even_when_it_answers() -> None:
    _, result = _drill("never asks", ["http-500"])
    assert "http-500: the API is called" in _failed(result)
    assert "healthy: the API's text is used" in _failed(result)


def test_a_candidate_without_a_deadline_over_the_whole_call_fails_on_a_trickling_answer(tmp_path: Path) -> None:
    measurement, result = _drill("no deadline", ["slow"])
    assert "slow: every request is answered within 1500 ms" in _failed(result)
    assert measurement.outcome == "failed"
    assert result.errors == 3
    assert result.recovery_ms is not None
    assert result.recovery_ms >= 3 * 1400
    assert replays(measurement, tmp_path)


def test_a_candidate_without_a_fallback_fails() -> None:
    _, result = _drill("no fallback", ["reset"])
    assert "reset: answers come from the fallback" in _failed(result)
    assert not any(name.startswith("healthy") for name in _failed(result))


def test_a_drill_without_faults_or_with_a_wrong_journey_is_refused() -> None:
    with pytest.raises(UsageError):
        _drill("sound", [])
    with pytest.raises(UsageError, match="text_field"):
        drill_external_api(_starting("sound"), ["hang"], journey={"steps": [{"path": "/"}]}, answer_within_ms=1)


def test_the_server_really_misbehaves() -> None:
    with faulty_server(b"{}", "http-500") as server:
        assert httpx.post(server.url, trust_env=False).status_code == 500
        assert server.calls == 1
    with faulty_server(b"{}", "reset") as server, pytest.raises(httpx.TransportError):
        httpx.post(server.url, trust_env=False, timeout=2)
    with faulty_server(b"{}", "hang") as server, pytest.raises(httpx.ReadTimeout):
        httpx.post(server.url, trust_env=False, timeout=0.3)
    with faulty_server(b"{}", "slow") as server, httpx.stream("GET", server.url, timeout=1, trust_env=False) as answer:
        started = time.monotonic()
        first = next(answer.iter_raw(1))
        assert first == b"{"
        assert time.monotonic() - started < 1
    with faulty_server(b'{"a": 1}', None) as server:
        assert httpx.get(server.url, trust_env=False).json() == {"a": 1}
