"""A real rollout by the command line alone: router and servers of their own, users, ticks as a timer calls them."""

import base64
import json
import re
import sys
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from processes.ports import free_port
from processes.supervised import supervised, wait_until_ready
from processes.wait import wait_for
from rollouts.haproxy_router import find_haproxy
from rollouts.request_log import RequestLog
from telemetry.prometheus_server import Scraped, find_prometheus, prometheus_server
from telemetry.prometheus_source import prometheus_source
from tests.e2e.small_release import PLAN, ROOT, command, environment, gonogo, make_release

PROCESSES = ROOT / "tests" / "integration" / "rollout_processes.py"
HAPROXY = pytest.param(
    "haproxy", marks=pytest.mark.skipif(find_haproxy() is None, reason="HAProxy is not installed on this machine")
)
VERSIONS = ("stable", "candidate")
ROLLOUT = """\
rollout:
  stages:
    - {name: canary, share: 10%, minimum: 1s, requests: 300, salt: a}
    - {name: ab-test, share: 50%, minimum: 1s, requests: 300, salt: b}
    - {name: full, share: 100%, minimum: 1s, requests: 300}
  watch: 2s
  silence: 30s
  router: {kind: KIND, listen: "127.0.0.1:LISTEN", stable: "http://127.0.0.1:STABLE",
           candidate: "http://127.0.0.1:CANDIDATE", control: run/control.sock, request_log: run/requests.log,
           lease: LEASE}
"""


class Hook:
    """A receiver of notifications, as a chat service has one."""

    def __init__(self, stack):
        self.titles = titles = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                titles.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["title"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        stack.callback(self.server.server_close)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        stack.callback(self.server.shutdown)
        self.url = f"json://127.0.0.1:{self.server.server_address[1]}/"


class Site:
    """A release with what serves it: both versions, the router, users."""

    def __init__(self, stack, folder, kind, *, error_rate=0.0, lease="30s", connections=4, judge=""):
        self.folder, self.stack = make_release(folder), stack
        self.ports = ports = {name: free_port() for name in ("LISTEN", "STABLE", "CANDIDATE")}
        rollout = ROLLOUT.replace("KIND", kind).replace("LEASE", lease) + judge
        for name, port in ports.items():
            rollout = rollout.replace(f":{name}", f":{port}")
        plan = PLAN.replace("rollout:\n  stages: [{name: full, share: 100%}]\n", rollout)
        plan = plan.replace("approvals:\n  full: [{role: approver}]\n", "")
        # Servers of one machine that does other things too: how slow it is at the time is not what is tested here.
        plan = plan.replace(
            "profiles:\n", "  latency-p95: {unit: ms, promote_at_most: 1000, worse_than_stable_by: 10000%}\nprofiles:\n"
        )
        self.hook = Hook(stack)
        (self.folder / "plan.yaml").write_text(plan + f"notify: ['{self.hook.url}']\n")
        for name, rate in zip(VERSIONS, (0.0, error_rate), strict=True):
            argv = [sys.executable, str(PROCESSES), "backend", str(ports[name.upper()]), name, str(rate), "8"]
            stack.enter_context(supervised(name, argv, log=folder / f"{name}.log"))
        router = supervised(
            "router", command("rollout", "router", "plan.yaml"), log=folder / "router.log",
            env=environment(folder / "user-home"), cwd=self.folder,
        )  # fmt: skip
        process = stack.enter_context(router)
        self.url = f"http://127.0.0.1:{ports['LISTEN']}"
        wait_until_ready(process, self.url + "/.gonogo/ready", timeout_s=60)
        argv = [sys.executable, str(PROCESSES), "users", self.url, "20000", str(connections)]
        stack.enter_context(supervised("users", argv, log=folder / "users.log"))
        assert gonogo(self.folder, "authorize", "plan.yaml", "--level", "full").returncode == 0

    def judge_by_prometheus(self, folder):
        """Let a Prometheus server of its own scrape both versions every second, and the plan name it."""
        if find_prometheus() is None:
            pytest.skip("Prometheus is not installed on this machine")
        targets = [Scraped("shop", name, f"http://127.0.0.1:{self.ports[name.upper()]}/metrics") for name in VERSIONS]
        server = prometheus_server(targets, rule_files=[], work_dir=folder, webhook_url=None)
        url = self.stack.enter_context(server)
        source = self.stack.enter_context(prometheus_source(url))

        def scraped():
            return {one.labels["target"] for one in source.query("http_requests_total")} == set(VERSIONS)

        wait_for(scraped, what="Prometheus' first scrapes", timeout_s=30)
        plan, asks = self.folder / "plan.yaml", f"{{from: prometheus, url: '{url}', job: shop, "
        judge = "judge: " + asks + "stable: stable, candidate: candidate}"
        plan.write_text(re.sub("judge: {.*}", judge, plan.read_text()))

    def status(self):
        return json.loads(gonogo(self.folder, "rollout", "status", "plan.yaml", "--json").stdout)

    def tick(self, *more):
        return gonogo(self.folder, "rollout", "tick", "plan.yaml", *more)

    def ticks(self, until, *more, at_most=40):
        for _ in range(at_most):
            ran = self.tick(*more)
            assert ran.returncode in (0, 20, 30), ran.stderr
            if until(ran):
                return ran
        pytest.fail(gonogo(self.folder, "rollout", "status", "plan.yaml").stdout)

    def requests(self):
        return RequestLog(self.folder / "run" / "requests.log").since(0)[0]


@pytest.fixture
def site(tmp_path):
    with ExitStack() as stack:
        yield lambda kind, **options: Site(stack, tmp_path / "shop", kind, **options)


@pytest.mark.parametrize("kind", [HAPROXY, "embedded"])
def test_a_good_candidate_is_taken_to_everyone_by_ticks_alone(site, kind):
    shop = site(kind)
    assert gonogo(shop.folder, "rollout", "start", "plan.yaml").returncode == 0
    again = gonogo(shop.folder, "rollout", "start", "plan.yaml")
    assert again.returncode == 2
    assert "has not ended" in again.stderr
    shop.ticks(lambda ran: "completed" in ran.stdout)
    shop.tick()
    status = shop.status()
    assert (status["outcome"], status["share"], status["recorded"]) == ("completed", 1.0, True)
    assert {request.status for request in shop.requests()} == {200}
    assert [entry["action"] for entry in status["journal"]][-2:] == ["complete", "record"]
    told = ["start", "expose", "expose", "expose", "watch", "complete"]
    assert [title.split()[1] for title in shop.hook.titles] == told
    listed = json.loads(gonogo(shop.folder, "evidence", "list", "--kind", "rollout", "--json").stdout)
    assert len(listed) == 1
    verified = gonogo(shop.folder, "verify", "--ledger", "--replay")
    assert verified.returncode == 0, verified.stdout
    print(gonogo(shop.folder, "rollout", "status", "plan.yaml").stdout)


@pytest.mark.parametrize("kind", [HAPROXY, "embedded"])
def test_a_bad_candidate_is_rolled_back_and_its_evidence_says_who_was_harmed(site, kind):
    shop = site(kind, error_rate=0.06)
    assert gonogo(shop.folder, "rollout", "start", "plan.yaml").returncode == 0
    ran = shop.ticks(lambda ran: ran.returncode == 20, "--for", "5s", "--every", "300ms")
    assert "roll-back canary: " in ran.stderr
    shop.tick("--for", "25s")
    (listed,) = json.loads(gonogo(shop.folder, "evidence", "list", "--kind", "rollout", "--json").stdout)
    envelope = json.loads(gonogo(shop.folder, "evidence", "show", listed["record_id"], "--json").stdout)
    result = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["result"]
    canary = [request for request in shop.requests() if request.backend == "canary"]
    assert result["outcome"] == "rolled-back"
    assert result["canary_requests"] == len(canary)
    assert result["canary_errors"] == sum(request.is_error for request in canary) > 0
    assert result["users_exposed"] == len({request.user_hash for request in canary})
    print("decision to the last canary request, ms:", result["harm_to_stable_ms"], result["requests_to_harm"])
    assert result["harm_to_stable_ms"] < 2000
    assert gonogo(shop.folder, "verify", "--ledger", "--replay").returncode == 0
    print(gonogo(shop.folder, "rollout", "status", "plan.yaml").stdout)


SCRAPED = """\
  judge: {from: metrics, stable: "http://127.0.0.1:STABLE/metrics", candidate: "http://127.0.0.1:CANDIDATE/metrics"}
"""


@pytest.mark.parametrize(
    ("source", "outcome"), [("metrics", "completed"), ("metrics", "rolled-back"), ("prometheus", "rolled-back")]
)
def test_a_candidate_is_judged_by_counters_alone(site, tmp_path, source, outcome):
    shop = site("embedded", error_rate=0.0 if outcome == "completed" else 0.06, judge=SCRAPED)
    if source == "prometheus":
        shop.judge_by_prometheus(tmp_path / "prometheus")
    started = gonogo(shop.folder, "rollout", "start", "plan.yaml")
    assert started.returncode == 0, started.stderr
    shop.ticks(lambda _: shop.status()["recorded"], "--for", "10s", "--every", "300ms")
    (listed,) = json.loads(gonogo(shop.folder, "evidence", "list", "--kind", "rollout", "--json").stdout)
    envelope = json.loads(gonogo(shop.folder, "evidence", "show", listed["record_id"], "--json").stdout)
    predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    result, canary = predicate["result"], [r for r in shop.requests() if r.backend == "canary"]
    print(result["why"], len(canary), result["canary_requests"], result["canary_errors"], result["harm_to_stable_ms"])
    assert result["outcome"] == outcome
    assert result["users_exposed"] is None
    if outcome == "rolled-back":
        assert result["canary_requests"] == len(canary)
        assert result["canary_errors"] == sum(request.is_error for request in canary) > 0
        assert result["harm_to_stable_ms"] < 2000
    verified = gonogo(shop.folder, "verify", "--ledger", "--replay")
    assert verified.returncode == 0, verified.stdout
    status = gonogo(shop.folder, "rollout", "status", "plan.yaml").stdout
    assert "counters tell no users" in status
    print(status)


@pytest.mark.parametrize("kind", [HAPROXY, "embedded"])
def test_when_ticks_stop_the_lease_lapses_and_everyone_is_on_stable(site, kind):
    shop = site(kind, lease="2s")
    assert gonogo(shop.folder, "rollout", "start", "plan.yaml").returncode == 0
    shop.tick("--for", "3s", "--every", "200ms")  # the last thing that a tick does is to renew the lease
    ended_s = time.time()

    def lapsed():
        canary = max((r.at_s for r in shop.requests() if r.backend == "canary"), default=0.0)
        return canary > 0 and time.time() - canary > 2

    wait_for(lapsed, what="no canary request for two seconds", timeout_s=30)
    last_s = max(r.at_s for r in shop.requests() if r.backend == "canary")
    status = gonogo(shop.folder, "rollout", "status", "plan.yaml")
    assert "lapsed: everyone is on stable" in status.stdout
    print("from the end of the last tick's process to the last canary request, s:", last_s - ended_s)
    assert last_s - ended_s < 3
    assert shop.tick("--for", "2s", "--every", "200ms").returncode == 0  # the next tick goes on
    assert max(r.at_s for r in shop.requests() if r.backend == "canary") > last_s
    (shop.folder / "service" / "index.html").write_text("<p>another shop</p>\n")
    assert "the subject is another one now" in shop.status()["waits_for"]
    assert gonogo(shop.folder, "rollout", "abort", "plan.yaml").returncode == 2
    ran = gonogo(shop.folder, "rollout", "abort", "plan.yaml", "--reason", "somebody changed it")
    assert ran.returncode == 20
    assert (shop.status()["outcome"], shop.status()["share"]) == ("aborted", 0.0)


def test_a_rollout_needs_an_authorization_and_a_router(tmp_path):
    folder = make_release(tmp_path / "shop")
    assert gonogo(folder, "authorize", "plan.yaml", "--level", "canary").returncode == 0
    ran = gonogo(folder, "rollout", "start", "plan.yaml")
    assert ran.returncode == 2
    assert "rollout.router is missing" in ran.stderr
    text = (folder / "plan.yaml").read_text()
    router = (
        "rollout:\n  router: {kind: embedded, listen: '127.0.0.1:1', stable: 'http://a:1', candidate: 'http://a:2',"
    )
    text = text.replace("rollout:\n", router + " control: a.sock, request_log: a.log}\n")
    (folder / "plan.yaml").write_text(text)
    ran = gonogo(folder, "rollout", "start", "plan.yaml")
    assert ran.returncode == 2
    assert "awaiting approval of Ada (approver) for level full" in ran.stderr
    for what in ("status", "tick"):
        ran = gonogo(folder, "rollout", what, "plan.yaml")
        assert ran.returncode == 2
        assert "no rollout of shop-2 was started" in ran.stderr
