"""Weights of an HTTPRoute, changed through a stand-in for the Kubernetes API (see ``kubernetes_api.py``)."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from decision.rollout_spec import GatewayRouter as Spec
from decision.rollout_spec import RolloutSpec
from processes.errors import ProcessError, UsageError
from processes.supervised import supervised
from processes.wait import wait_for
from rollouts import http_route
from rollouts.gateway_router import RunningGateway, gateway_of
from rollouts.open_running import configuration_of, open_running
from rollouts.request_log import format_line
from tests.integration.kubernetes_api import KubernetesApi, kubernetes_api
from tests.integration.test_running_router import ROOT

ROUTER = {
    "kind": "gateway-api", "namespace": "ion", "route": "ion-mentoring", "stable": "ion-stable",
    "candidate": "ion-candidate", "request_log": "requests.log", "token_file": "token", "ca_file": "ca.crt",
}  # fmt: skip
GUARD = (
    "import sys; from pathlib import Path; from decision.rollout_spec import GatewayRouter; "
    "from rollouts.open_running import run_router; "
    "run_router(GatewayRouter.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
)


@dataclass
class Cluster:
    api: KubernetesApi
    spec: Spec
    folder: Path
    gateway: RunningGateway
    at_s: float = 1000.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with kubernetes_api(tmp_path) as api:
        spec = Spec.model_validate({**ROUTER, "server": api.url})
        made = Cluster(api, spec, tmp_path, gateway_of(spec, tmp_path))
        made.gateway = replace(made.gateway, now_s=lambda: made.at_s)
        yield made


def test_a_share_has_effect_while_the_lease_holds_and_is_read_back(cluster: Cluster) -> None:
    gateway, api = cluster.gateway, cluster.api
    assert gateway.read().slots == 0
    gateway.set_share(500, "salt")
    assert (api.weights(), gateway.read().slots, gateway.read().lease_left_s) == ((10_000, 0), 500, 0)
    gateway.renew_lease(30)
    assert api.weights() == (9500, 500)
    assert gateway.read().is_as_told(500, "salt")
    assert gateway.read().lease_left_s == pytest.approx(30)
    gateway.set_share(10_000, "salt")
    assert api.weights() == (0, 10_000)
    gateway.set_share(0, "salt")
    assert (api.weights(), gateway.read().slots) == ((10_000, 0), 0)


def test_nothing_else_of_the_route_is_touched(cluster: Cluster) -> None:
    before = cluster.api.route
    cluster.gateway.renew_lease(30)
    cluster.gateway.set_share(500, "salt")
    after = cluster.api.route
    assert after["metadata"]["annotations"]["owner"] == "team-ion"
    assert after["spec"]["rules"][1] == before["spec"]["rules"][1]
    assert after["spec"]["rules"][0]["matches"] == before["spec"]["rules"][0]["matches"]
    assert after["spec"]["rules"][0]["backendRefs"][1]["port"] == 8080
    assert all("resourceVersion" in patch["metadata"] for patch in cluster.api.patches)
    patches = len(cluster.api.patches)
    cluster.gateway.set_share(500, "salt")
    assert len(cluster.api.patches) == patches


def test_what_somebody_else_changes_meanwhile_is_kept(cluster: Cluster) -> None:
    def add_rule(api: KubernetesApi) -> None:
        rules = [*api.route["spec"]["rules"], {"backendRefs": [{"name": "new"}]}]
        api.change({"spec": {"rules": rules}})

    cluster.gateway.renew_lease(30)
    cluster.api.before_patch = add_rule
    cluster.gateway.set_share(500, "salt")
    assert cluster.api.weights() == (9500, 500)
    assert cluster.api.route["spec"]["rules"][2] == {"backendRefs": [{"name": "new"}]}


def test_a_route_that_somebody_always_changes_is_given_up(cluster: Cluster) -> None:
    def touch(api: KubernetesApi) -> None:
        api.change({"metadata": {"annotations": {"touched": api.route["metadata"]["resourceVersion"]}}})
        api.before_patch = touch

    cluster.api.before_patch = touch
    with pytest.raises(ProcessError, match="5 times in a row"):
        cluster.gateway.set_share(500, "salt")
    assert cluster.api.weights() == (1, 0)


def test_weights_that_somebody_else_set_are_not_what_was_told(cluster: Cluster) -> None:
    cluster.gateway.renew_lease(30)
    cluster.gateway.set_share(500, "salt")
    rules = [dict(rule) for rule in cluster.api.route["spec"]["rules"]]
    rules[0]["backendRefs"] = [{"name": "ion-stable"}, {"name": "ion-candidate"}]
    cluster.api.change({"spec": {"rules": rules}})
    assert cluster.gateway.read().slots == 5000
    assert not cluster.gateway.read().is_as_told(500, "salt")
    cluster.gateway.set_share(500, "salt")
    assert cluster.api.weights() == (9500, 500)


def test_the_guard_ends_a_lease_that_nobody_renews_and_never_one_that_holds(cluster: Cluster) -> None:
    cluster.gateway.set_share(500, "salt")
    cluster.gateway.renew_lease(30)
    cluster.at_s += 29
    assert not cluster.gateway.end_lapsed_lease()
    cluster.at_s += 1
    assert cluster.gateway.end_lapsed_lease()
    assert cluster.api.weights() == (10_000, 0)
    assert cluster.gateway.read().is_as_told(500, "salt")
    assert not cluster.gateway.end_lapsed_lease()
    cluster.gateway.renew_lease(30)
    assert cluster.api.weights() == (9500, 500)


def test_the_guard_is_a_process_that_takes_everyone_to_stable_within_three_seconds(cluster: Cluster) -> None:
    gateway = open_running(cluster.spec, cluster.folder)
    argv = [sys.executable, "-c", GUARD, cluster.spec.model_dump_json(), str(cluster.folder)]
    with supervised("guard", argv, log=cluster.folder / "guard.log", cwd=ROOT) as guard:
        gateway.set_share(500, "salt")
        gateway.renew_lease(20)
        assert cluster.api.weights() == (9500, 500)
        gateway.renew_lease(1.5)
        renewed_s = time.monotonic()
        wait_for(lambda: cluster.api.weights() == (10_000, 0), what="stable", timeout_s=20)
        lapsed_s = time.monotonic() - renewed_s
        print(f"all weight at stable {lapsed_s:.3f} s after the renewal of 1.5 s")
        assert lapsed_s < 3
        cluster.api.token = "second"
        wait_for(lambda: "401" in guard.log.read_text(), what="the refusal in the log", timeout_s=20)
        (cluster.folder / "token").write_text("second")
        gateway.renew_lease(1)
        wait_for(lambda: cluster.api.weights() == (10_000, 0), what="stable again", timeout_s=20)
        assert guard.running()


def test_a_gateway_that_does_not_take_note_is_no_success(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_route, "_ACCEPTED_WITHIN_S", 0.3)
    cluster.gateway.renew_lease(30)
    cluster.api.gateway_accepts = False
    with pytest.raises(ProcessError, match="accepted by its gateways"):
        cluster.gateway.set_share(500, "salt")


@pytest.mark.parametrize(("changes", "message"), [
    ({"route": "other"}, "404.*not found"),
    ({"rule": 7}, "no rule 7"),
    ({"rule": 1}, "sends to docs; expected ion-stable and ion-candidate"),
    ({"token_file": "missing"}, "does not answer.*missing"),
    ({"server": "https://127.0.0.1:1"}, "does not answer"),
])  # fmt: skip
def test_what_is_wrong_with_route_or_api_is_said(cluster: Cluster, changes: dict[str, object], message: str) -> None:
    gateway = gateway_of(Spec.model_validate({**ROUTER, "server": cluster.api.url, **changes}), cluster.folder)
    with pytest.raises(ProcessError, match=message):
        gateway.read()


def test_a_token_that_is_not_accepted_and_a_number_that_is_none_are_said(cluster: Cluster) -> None:
    cluster.api.change({"metadata": {"annotations": {"gonogo/lease-until": "soon"}}})
    with pytest.raises(ProcessError, match="no number: 'soon'"):
        cluster.gateway.read()
    cluster.api.token = "other"
    with pytest.raises(ProcessError, match="401: Unauthorized"):
        cluster.gateway.read()


def test_an_api_with_another_ca_is_not_trusted(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("other")
    with kubernetes_api(elsewhere):
        spec = Spec.model_validate({**ROUTER, "server": cluster.api.url, "ca_file": str(elsewhere / "ca.crt")})
        with pytest.raises(ProcessError, match="CERTIFICATE_VERIFY_FAILED"):
            gateway_of(spec, cluster.folder).read()


def test_in_a_pod_the_api_is_where_kubernetes_says(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Spec.model_validate(ROUTER)
    with pytest.raises(UsageError, match="no pod"):
        gateway_of(spec, cluster.folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", cluster.api.url.rsplit(":", 1)[1])
    assert gateway_of(spec, cluster.folder).read().slots == 0
    with pytest.raises(UsageError, match="the CA"):
        gateway_of(Spec.model_validate({**ROUTER, "ca_file": "missing"}), cluster.folder)


def test_where_counters_are_judged_no_log_is_needed(cluster: Cluster) -> None:
    spec = Spec.model_validate({**ROUTER, "server": cluster.api.url, "request_log": None})
    gateway = gateway_of(spec, cluster.folder)
    assert (gateway.end_of_log(), gateway.requests_since(7)) == (0, ([], 7, True))
    gateway.set_share(500, "salt")
    assert gateway.read().slots == 500


def test_requests_are_read_from_the_log_that_the_gateway_writes(cluster: Cluster) -> None:
    assert cluster.gateway.requests_since(0) == ([], 0, True)
    (cluster.folder / "requests.log").write_bytes(format_line(1.0, 2.5, 200, "canary", "canary", "a-request-id"))
    ((request,), cursor, all_read) = cluster.gateway.requests_since(0)
    assert (request.backend, request.status, request.latency_ms, all_read) == ("canary", 200, 2.5, True)
    assert cursor == cluster.gateway.end_of_log()


def test_the_plan_names_a_gateway_and_a_mistake_in_it_is_said(tmp_path: Path) -> None:
    stages = [{"name": "full", "share": "100%"}]
    spec = RolloutSpec.model_validate({"stages": stages, "router": ROUTER})
    assert isinstance(spec.router, Spec)
    assert RolloutSpec.model_validate(spec.model_dump(mode="json", by_alias=True)) == spec
    for mistake in ({"stable": "ion-candidate"}, {"server": "http://10.0.0.1:80"}, {"lease": "0.5s"}, {"route": "A_b"}):
        with pytest.raises(ValidationError):
            RolloutSpec.model_validate({"stages": stages, "router": {**ROUTER, **mistake}})
    tested = [{"name": "ab-test", "share": "50%", "metrics": {"accuracy": {"type": "proportion"}}}, *stages]
    with pytest.raises(ValidationError, match="splits requests"):
        RolloutSpec.model_validate({"stages": tested, "router": ROUTER})
    with pytest.raises(UsageError, match="no configuration here"):
        configuration_of(spec.router, tmp_path)
