"""What is refused and what is said of it: keys, bodies, rates, and what clients choose that could grow without end."""

import asyncio
import json
import os
import re
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.settings import read_settings
from engines.web import gate
from engines.web.application import application
from engines.web.credentials import Keys, RateLimit, client_of
from processes.wait import wait_for
from tests.engines.conftest import serving, started
from tests.engines.text_api import text_api

pytestmark = pytest.mark.phase4

BODY = {"user_id": "u", "query": "hello"}
PATH = "/api/v2/recommend/personalized"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "server.jsonl"
    with started("phase4", log) as (client, _):
        yield client, log


@pytest.fixture
def client(server):
    return server[0]


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    return body


@pytest.mark.parametrize(
    ("header", "let_in"),
    [("Bearer one", True), ("bearer two", True), ("one", False), ("Basic one", False), ("Bearer", False)],
)
def test_a_key_counts_only_as_a_bearer(header, let_in):
    assert (Keys(("one", "two")).holder(header) is not None) is let_in


@given(st.text(), st.lists(st.text(min_size=1), min_size=1))
def test_only_keys_are_let_in(given, keys):
    clean = [key.strip() for key in keys if key.strip()]
    if clean:
        assert (Keys(clean).holder(f"Bearer {given}") is not None) == (given.strip() in clean)


@given(st.integers(1, 1000), st.integers(1, 2000))
def test_who_comes_back_when_told_to_is_let_in(per_minute, requests):
    now = [0.0]
    limit = RateLimit(per_minute, lambda: now[0])
    for _ in range(requests):
        if wait_s := limit.wait_s(b"client"):
            assert 1 <= wait_s <= 60
            now[0] += wait_s
            assert limit.wait_s(b"client") == 0


@given(st.tuples(*[st.text(max_size=3)] * 2), st.tuples(*[st.text(max_size=3)] * 2), st.sampled_from([b"", b"k"]))
def test_clients_are_told_apart_by_key_and_user_and_without_a_key_by_address_alone(one, other, holder):
    (user, address), (other_user, other_address) = one, other
    mine, others = (user or address, other_user or other_address) if holder else (address, other_address)
    if bool(user) == bool(other_user) or not holder:
        assert (client_of(holder, *one) == client_of(holder, *other)) == (mine == others)
    assert client_of(b"another", *one) != client_of(holder, *one)
    assert len(client_of(holder, user * 10_000, address)) == 16


def test_one_address_has_one_bucket_whatever_it_calls_itself_and_with_a_key_each_user_has_his_own():
    def statuses(client, name):
        asked = [{"X-User-Id": user, name: user} for user in ("a", "b", "c")]
        return [client.post(PATH, json=BODY | {"user_id": h["X-User-Id"]}, headers=h).status_code for h in asked]

    with serving("phase3", ION_RATE_LIMIT_PER_MINUTE="2") as client:
        assert statuses(client, "X-Forwarded-For") == [200, 200, 429]
    with serving("phase3", ION_RATE_LIMIT_PER_MINUTE="2", ION_API_KEYS="k,l") as client:
        client.headers["Authorization"] = "Bearer k"
        assert statuses(client, "X-Other") + statuses(client, "X-Other") == [200] * 6
        assert statuses(client, "X-Other") == [429] * 3
        client.headers["Authorization"] = "bearer  k"
        assert statuses(client, "X-Other") == [429] * 3, "the same key, written otherwise"
        client.headers["Authorization"] = "Bearer l"
        assert statuses(client, "X-Other") == [200] * 3, "nobody spends what is another key's"


@pytest.mark.parametrize("name", ["X-User-Id", "Authorization"])
def test_a_name_given_twice_is_refused(client, name):
    headers = [(name, "u"), (name, "v"), ("Content-Type", "application/json")]
    problem(client.post(PATH, content=json.dumps(BODY), headers=headers), 400)


async def ask(app, path, *messages):
    """The status of an answer to a body that comes in these messages, and then no further."""
    coming, statuses = iter(messages), []

    async def receive():
        message = next(coming, None)
        if message is None:
            await asyncio.Event().wait()
        return message

    async def send(message):
        statuses.append(message.get("status"))

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "client": ("1", 1)}
    await app({**scope, "query_string": b"", "http_version": "1.1"}, receive, send)
    return statuses[0]


def whole(body):
    return {"type": "http.request", "body": json.dumps(body).encode()}


@pytest.fixture
def app(monkeypatch, tmp_path):
    """Phase 3 without a server around it."""
    for name in [name for name in os.environ if name.startswith("ION_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ION_DATABASE_URL", f"sqlite:///{tmp_path}/ion.sqlite")
    return application(read_settings("phase3"))


def test_a_body_that_does_not_come_is_not_waited_for_and_takes_nobodys_place(app, monkeypatch):
    monkeypatch.setattr(gate, "_BODY_WITHIN_S", 0.3)
    monkeypatch.setattr(gate, "_MOST_IN_FLIGHT", 1)

    async def run():
        part = {"type": "http.request", "body": b"{", "more_body": True}
        slow = [asyncio.create_task(ask(app, PATH, part)) for _ in range(9)]
        await asyncio.sleep(0)
        assert await ask(app, PATH, whole(BODY)) == 200
        assert await asyncio.gather(*slow) == [408] * 9

    asyncio.run(run())


def test_others_are_answered_between_the_messages_of_a_bulk(app):
    turns = 0

    async def run():
        nonlocal turns
        requests = [{"user_input": f"message {number}"} for number in range(100)]
        bulk = asyncio.create_task(ask(app, "/api/v2/bulk-process", whole({"requests": requests})))
        while not bulk.done():
            turns += 1
            await asyncio.sleep(0)
        assert await bulk == 200

    asyncio.run(run())
    assert turns >= 100


def test_a_body_sent_in_chunks_is_limited_too(client):
    def chunks():
        for _ in range(20):
            yield b"x" * 10_000

    problem(client.post(PATH, content=chunks(), headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"user_id": "u", "query": "hello", "metadata": {"a": NaN}}', 422),
        ('{"user_id": "u", "query": "hello", "metadata": {"a": "\\ud800"}}', 422),
        ('{"user_id": "u", "query": "hello", "\\ud800": 1}', 422),
        ('{"user_id": "u", "query": "\\ud800"}', 422),
        ('{"user_id": "u\\u0000", "query": "hello"}', 422),
        ('{"user_id": "u", "query": "\\u0000"}', 422),
        ('{"user_id": "u", "query": "hello", "metadata": {"a": ' + "[" * 5000 + "]" * 5000 + "}}", 422),
        ('{"user_id": "u", "query": "hello", "metadata": {"a": ' + "[" * 40_000 + "]" * 40_000 + "}}", 400),
        ('{"user_id": "u", "query": "hello", "metadata": {"a": ' + "1" * 5000 + "}}", 400),
        ('{"user_id": "u", "query": "hello", "metadata": {"a": "' + "x" * 30_000 + '"}}', 422),
        ('{"user_id": "u", "query": "hello", "' + "k" * 50_000 + '": 1}', 422),
        ("{", 422),
        ("null", 422),
    ],
)
def test_a_body_that_could_not_be_carried_is_refused_in_a_short_problem(client, text, status):
    answer = client.post(PATH, content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert len(json.dumps(problem(answer, answer.status_code))) < 1000
    assert answer.status_code == status or sum(map(text.count, "[")) > 1000  # how deep is too deep is Python's choice


def test_bytes_that_are_no_text_are_refused(client):
    answer = client.post(PATH, content=b'{"user_id": "\xff"}', headers={"Content-Type": "application/json"})
    problem(answer, 400)


@pytest.mark.parametrize("path", ["%00", "a%20b", "x" * 65, "%F0%9F%98%80"])
def test_an_id_that_cannot_be_one_is_refused(client, path):
    problem(client.get(f"/api/v2/conversations/{path}"), 422)


def test_a_slash_too_many_is_not_found(client):
    problem(client.get("/api/v2/conversations/", params={"user_id": "u"}), 404)
    assert problem(client.delete(PATH), 405)["title"] == "Method Not Allowed"


def test_invented_methods_and_paths_are_one_label_each(client):
    for number in range(20):
        assert client.request(f"INVENTED{number}", f"/invented/{number}").status_code == 404
    metrics = client.get("/metrics").text
    assert "INVENTED" not in metrics
    assert "/invented" not in metrics
    assert 'http_requests_total{method="other",path="unmatched",status="404"}' in metrics


def test_ids_that_could_forge_a_line_are_replaced(client):
    for header in ("a b", "x" * 65, "<script>", "a\tb"):
        assert re.fullmatch(
            "[0-9a-f]{16}", client.get("/health", headers={"X-Request-Id": header}).headers["X-Request-Id"]
        )
    for header in (
        "nonsense",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'A' * 32}-{'1' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"ff-{'a' * 32}-{'1' * 16}-01",
        f"00-{'a' * 32}-{'1' * 16}-01-more",
        f"01-{'a' * 32}-{'1' * 16}-01more",
    ):
        trace = client.get("/health", headers={"traceparent": header}).headers["X-Trace-Id"]
        assert trace not in header
        assert re.fullmatch("[0-9a-f]{32}", trace)
    later = client.get("/health", headers={"traceparent": f"01-{'a' * 32}-{'1' * 16}-01-more"})
    assert later.headers["X-Trace-Id"] == "a" * 32, "versions to come add fields"


def test_the_ids_of_a_request_are_in_its_answer_its_log_line_and_the_metrics(server):
    client, log = server
    trace = "c" * 32
    headers = {"X-Request-Id": "request-of-this-test", "traceparent": f"00-{trace}-{'1' * 16}-01"}
    answer = client.get("/api/v2/conversations/no-such-session", headers=headers)
    assert (answer.headers["X-Request-Id"], answer.headers["X-Trace-Id"]) == ("request-of-this-test", trace)
    wait_for(lambda: "request-of-this-test" in log.read_text(), what="the log line", timeout_s=30)  # after the answer
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (mine,) = [line for line in lines if line["request_id"] == "request-of-this-test"]
    assert mine["trace_id"] == trace
    assert mine["level"] == "warning"
    assert mine["http"]["status_code"] == 404
    metrics = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text
    (example,) = [line for line in metrics.splitlines() if "request-of-this-test" in line]
    assert example.startswith("http_request_duration_seconds_bucket")
    assert f'trace_id="{trace}"' in example
    assert metrics.endswith("# EOF\n")


def test_what_a_user_said_and_keys_are_in_no_log_line_even_of_an_error(tmp_path):
    database, log = tmp_path / "ion.sqlite", tmp_path / "server.jsonl"
    with started("phase4", log, ION_DATABASE_URL=f"sqlite:///{database}", ION_API_KEYS="the-key") as (client, _):
        client.headers["Authorization"] = "Bearer the-key"
        session = client.post("/api/v2/conversations/start", json={"user_id": "u", "persona_id": "Lua"}).json()
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("DROP TABLE ion_turns")
        path = f"/api/v2/conversations/{session['session_id']}/turn"
        problem(client.post(path, json={"user_message": "what-I-said"}), 503)
    lines = log.read_text()
    assert "no such table" in lines
    assert "what-I-said" not in lines
    assert "the-key" not in lines


def test_the_metrics_have_the_names_of_the_papers(client):
    client.post(PATH, json=BODY)
    session = client.post("/api/v2/conversations/start", json={"user_id": "u", "persona_id": "Lua"}).json()[
        "session_id"
    ]
    client.post(f"/api/v2/conversations/{session}/turn", json={"user_message": "Urgent: fix it!"})
    lines = client.get("/metrics").text.splitlines()
    names = {re.split("[{ ]", line)[0] for line in lines if not line.startswith("#")}
    assert {
        "http_request_duration_seconds_bucket",
        "http_request_total",
        "http_requests_total",
        "personality_router_latency_seconds_count",
        "recommendation_engine_latency_count",
        "multiturn_engine_latency_count",
        "session_count",
        "error_rate_percentage",
        "chat_requests_total",
        "chat_response_duration_seconds_count",
        "database_pool_size",
        "database_pool_in_use",
        "text_api_circuit_open",
    } <= names
    assert "database_pool_size 10.0" in lines
    assert any(line.startswith('chat_requests_total{persona="Lua",resonance_key="urgent-') for line in lines)
    assert 'text_answers_total{reason="no API is configured",source="template"}' in "\n".join(lines)


def test_another_user_neither_lists_nor_opens_sessions_of_somebody(client):
    headers = {"X-User-Id": "other"}
    problem(client.get("/api/v2/conversations", params={"user_id": "u"}, headers=headers), 403)
    body = {"user_id": "u", "persona_id": "Lua"}
    problem(client.post("/api/v2/conversations/start", json=body, headers=headers), 403)
    name = "Jürgen-日本"
    own = {"X-User-Id": name.encode()}
    started = client.post("/api/v2/conversations/start", json=body | {"user_id": name}, headers=own)
    assert client.get(f"/api/v2/conversations/{started.json()['session_id']}", headers=own).status_code == 200


def test_another_user_neither_reads_nor_makes_nor_rates_recommendations_of_somebody(client):
    other = {"X-User-Id": "other"}
    mine = {"user_id": "u"}
    made = client.post(PATH, json=BODY, headers={"X-User-Id": "u"}).json()
    problem(client.post(PATH, json=BODY, headers=other), 403)
    problem(client.post("/api/v2/recommend/compare", json=BODY, headers=other), 403)
    rating = mine | {"recommendation_id": made["recommendation_id"], "rating": -1}
    problem(client.post("/api/v2/recommend/feedback", json=rating, headers=other), 403)
    problem(client.get("/api/v2/recommend/history", params=mine, headers=other), 403)
    assert client.post("/api/v2/recommend/feedback", json=rating, headers={"X-User-Id": "u"}).status_code == 200


def test_in_production_what_is_of_a_user_needs_one():
    with serving("phase4", ION_ENV="production", ION_API_KEYS="k") as client:
        client.headers["Authorization"] = "Bearer k"
        problem(client.post(PATH, json=BODY), 403)
        problem(client.get("/api/v2/recommend/history", params={"user_id": "u"}), 403)
        assert client.post(PATH, json=BODY, headers={"X-User-Id": "u"}).status_code == 200
        body = {"user_id": "u", "persona_id": "Lua"}
        problem(client.post("/api/v2/conversations/start", json=body), 403)
        assert client.post("/api/v2/conversations/start", json=body, headers={"X-User-Id": "u"}).status_code == 200
        document = client.get("/openapi.json").json()
        assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
        assert document["paths"][PATH]["post"]["security"] == [{"bearer": []}]


def test_turns_beyond_those_a_session_may_have_are_refused_while_they_wait():
    with text_api() as api, serving("phase4", ION_TEXT_API_URL=api.url) as client:
        api.delay_s = 0.1
        started = client.post("/api/v2/conversations/start", json={"user_id": "u", "persona_id": "Lua"}).json()
        path = f"/api/v2/conversations/{started['session_id']}/turn"
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda n: client.post(path, json={"user_message": f"m{n}"}), range(20)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 10
    assert statuses.count(409) == 10
    assert sorted(a.json()["turn_number"] for a in answers if a.status_code == 200) == list(range(1, 11))


def test_a_client_that_goes_away_leaves_nothing_behind(client):
    url = client.base_url
    for _ in range(5):
        with socket.create_connection((url.host, url.port)) as connection:
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{"
            connection.sendall(head.encode())
    with httpx.Client(base_url=url, trust_env=False) as other:
        alone = "http_requests_in_flight 1.0"  # the one that asks
        wait_for(lambda: alone in other.get("/metrics").text, what="the others to be forgotten", timeout_s=20)
