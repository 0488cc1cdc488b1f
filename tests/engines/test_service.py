"""What both releases share, over HTTP: health, metrics, ids, errors, limits, keys, faults."""

import os
import subprocess
import sys

import pytest

from engines.faults import FaultsRefused, read_faults
from engines.settings import WrongSettings, read_settings
from tests.engines.conftest import serving

BODY = {"user_id": "u", "query": "hello"}
PATH = "/api/v2/recommend/personalized"


@pytest.fixture(scope="module", params=["phase3", "phase4"])
def client(request):
    with serving(request.param) as client:
        yield client


def test_it_is_alive_and_ready(client):
    assert client.get("/health").json()["status"] == "healthy"
    assert client.get("/health/ready").json()["status"] == "ready"
    for path in ("/health", "/health/ready"):
        asked = client.head(path)
        assert (asked.status_code, asked.content) == (200, b"")


def test_requests_are_counted_by_route_and_status(client):
    client.post(PATH, json=BODY)
    text = client.get("/metrics").text
    assert f'http_requests_total{{method="POST",path="{PATH}",status="200"}}' in text
    assert "process_resident_memory_bytes" in text


def test_answers_carry_the_ids_of_the_request(client):
    trace = "a" * 32
    headers = {"X-Request-Id": "r1", "traceparent": f"00-{trace}-{'b' * 16}-01"}
    answer = client.post(PATH, json=BODY, headers=headers)
    assert answer.headers["X-Request-Id"] == "r1"
    assert answer.headers["X-Trace-Id"] == trace


@pytest.mark.parametrize("body", [{}, {"user_id": "", "query": "x"}, {"user_id": "u", "query": "x" * 1001}, [], "x"])
def test_a_wrong_body_is_a_problem_without_internals(client, body):
    answer = client.post(PATH, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "pydantic" not in answer.text


def test_an_unknown_path_is_a_problem(client):
    answer = client.get("/api/v2/no-such-path")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_large_body_is_refused(client):
    assert client.post(PATH, content=b"x" * 200_000).status_code == 413


def test_different_questions_get_different_scores(client):
    answers = [
        client.post(PATH, json=BODY | {"context": {"tone": tone, "pace": "burst", "intent": "planning"}}).json()
        for tone in ("frustrated", "analytical", "collaborative")
    ]
    assert len({str(answer["all_scores"]) for answer in answers}) == 3


def test_phase_3_has_no_conversations(phase3):
    assert phase3.post("/api/v2/conversations/start", json={"user_id": "u", "persona_id": "Lua"}).status_code == 404


def test_with_keys_only_their_bearers_are_let_in(serve):
    with serve("phase3", ION_API_KEYS="one,two") as client:
        assert client.post(PATH, json=BODY).status_code == 401
        assert client.post(PATH, json=BODY, headers={"Authorization": "Bearer three"}).status_code == 401
        assert client.post(PATH, json=BODY, headers={"Authorization": "Bearer two"}).status_code == 200
        assert client.get("/health").status_code == 200
        assert client.get("/").status_code == 401, "what is not open by name needs a key"


def test_a_client_above_the_limit_is_told_when_to_come_back(serve):
    with serve("phase3", ION_RATE_LIMIT_PER_MINUTE="3", ION_API_KEYS="k") as client:
        client.headers["Authorization"] = "Bearer k"
        answers = [client.post(PATH, json=BODY | {"user_id": "a"}, headers={"X-User-Id": "a"}) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert client.post(PATH, json=BODY | {"user_id": "b"}, headers={"X-User-Id": "b"}).status_code == 200


def test_faults_fail_about_their_share_of_requests_and_add_latency(serve):
    with serve("phase3", ION_FAULTS="error-rate=0.2,latency-ms=5") as client:
        answers = [client.post(PATH, json=BODY) for _ in range(200)]
        failed = sum(answer.status_code == 500 for answer in answers)
        assert 15 < failed < 75
        assert min(answer.elapsed.total_seconds() for answer in answers) >= 0.005
        assert client.get("/health").status_code == 200


def test_constant_answers_are_a_fault_that_can_be_switched_on(serve):
    with serve("phase3", ION_FAULTS="constant") as client:
        answers = [client.post(PATH, json=BODY | {"query": query}).json() for query in ("fix a bug", "plan the year")]
        assert answers[0]["all_scores"] == answers[1]["all_scores"]


@pytest.mark.parametrize("text", ["error-rate=2", "latency-ms=-1", "no-such-fault", "error-rate=x", "constant=1"])
def test_a_fault_that_is_not_understood_is_refused(text):
    with pytest.raises(FaultsRefused):
        read_faults(text, production=False)


def test_a_leak_holds_more_and_more_memory():
    faults = read_faults("leak-mb-per-minute=10000", production=False)
    faults.leak()
    before = len(faults._leaked)
    faults._began_s -= 0.6
    faults.leak()
    assert len(faults._leaked) - before >= 900


@pytest.mark.parametrize(
    "env", [{"ION_ENV": "prod"}, {"ION_API_KEYS": " , "}, {"ION_API_KEYS": "k,schlüssel"}, {"ION_API_KEYS": "a\nb"}]
)
def test_what_may_be_a_slip_of_the_pen_is_not_started_with(monkeypatch, env):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings, match=next(iter(env))):
        read_settings("phase3")


@pytest.mark.parametrize("env", [{"ION_FAULTS": "constant", "ION_API_KEYS": "k"}, {}])
def test_production_starts_neither_with_faults_nor_without_keys(env):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ION_")}
    argv = [sys.executable, "-m", "engines.api", "--release", "phase3", "--port", "1"]
    ended = subprocess.run(
        argv, env=clean | env | {"ION_ENV": "production"}, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert "production" in ended.stderr
    assert "Traceback" not in ended.stderr
