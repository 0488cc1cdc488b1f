"""The weights and annotations of one HTTPRoute, read and patched through the Kubernetes API.

API: https://kubernetes.io/docs/reference/using-api/api-concepts/ (JSON merge patch, resourceVersion),
https://gateway-api.sigs.k8s.io/reference/spec/ (HTTPRoute, weights, status).
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any

import httpx

from processes.errors import ProcessError
from processes.wait import wait_for

_TIMEOUT_S = 5.0
_ACCEPTED_WITHIN_S = 10.0
_ATTEMPTS = 5
_API = "/apis/gateway.networking.k8s.io/v1/namespaces"

Change = Callable[["RouteState"], "RouteState"]


@dataclass(frozen=True)
class RouteState:
    """What the route says of one rollout: the weights of both versions, and our own annotations."""

    stable_weight: int
    candidate_weight: int
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class HttpRoute:
    """One rule of an HTTPRoute with exactly two backends. Methods raise ProcessError.

    The token is read for every request, because pods are given new ones; None: no token is sent.
    """

    server: str
    token_file: Path | None
    tls: SSLContext | bool
    namespace: str
    name: str
    rule: int
    stable: str
    candidate: str

    def read(self) -> RouteState:
        """What the route says now."""
        return self._state_of(self._ask("GET"))

    def change(self, change: Change) -> RouteState:
        """Change the route, and wait until its gateways have taken note; returns what the route then says.

        What somebody else changes meanwhile is kept: the API refuses a patch of an older version of the route, and
        ``change`` is asked again, of the newer one.
        """
        for _ in range(_ATTEMPTS):
            route = self._ask("GET")
            before = self._state_of(route)
            after = change(before)
            if after == before:
                return before
            answer = self._send("PATCH", self._patch(route, before, after))
            if answer.status_code != httpx.codes.CONFLICT:
                self._body_of(answer)
                return self._confirmed(after)
        raise ProcessError(f"{self._what}: somebody else changed it {_ATTEMPTS} times in a row")

    def _confirmed(self, expected: RouteState) -> RouteState:
        """Read back what was patched, and wait for the gateways: each must have accepted the route as it is now."""
        route = self._ask("GET")
        if self._state_of(route) != expected:
            raise ProcessError(f"{self._what}: does not say what it was told; somebody else changed it")

        def accepted() -> bool:
            return _accepted(self._ask("GET"))

        if not _accepted(route):
            wait_for(accepted, what=f"{self._what} accepted by its gateways", timeout_s=_ACCEPTED_WITHIN_S)
        return expected

    def _patch(self, route: dict[str, Any], before: RouteState, after: RouteState) -> dict[str, Any]:
        """A merge patch of ``route``, whose lists it must repeat as a whole; refused for any other version of it."""
        annotations = {key: value for key, value in after.annotations.items() if before.annotations.get(key) != value}
        metadata = {"resourceVersion": route["metadata"]["resourceVersion"], "annotations": annotations}
        patch: dict[str, Any] = {"metadata": metadata}
        if (before.stable_weight, before.candidate_weight) != (after.stable_weight, after.candidate_weight):
            rules = copy.deepcopy(route["spec"]["rules"])
            weights = {self.stable: after.stable_weight, self.candidate: after.candidate_weight}
            for backend in rules[self.rule]["backendRefs"]:
                backend["weight"] = weights[backend["name"]]
            patch["spec"] = {"rules": rules}
        return patch

    def _state_of(self, route: dict[str, Any]) -> RouteState:
        try:
            backends = route["spec"]["rules"][self.rule]["backendRefs"]
            weights = {backend["name"]: int(backend.get("weight", 1)) for backend in backends}
            annotations = dict(route["metadata"].get("annotations") or {})
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ProcessError(f"{self._what}: has no rule {self.rule} with backendRefs") from error
        if weights.keys() != {self.stable, self.candidate} or len(backends) != 2:
            named = ", ".join(weights) or "nothing"
            raise ProcessError(
                f"{self._what}: rule {self.rule} sends to {named}; expected {self.stable} and {self.candidate}"
            )
        return RouteState(weights[self.stable], weights[self.candidate], annotations)

    def _ask(self, method: str) -> dict[str, Any]:
        return self._body_of(self._send(method))

    def _send(self, method: str, patch: dict[str, Any] | None = None) -> httpx.Response:
        url = f"{self.server}{_API}/{self.namespace}/httproutes/{self.name}"
        headers = {"Accept": "application/json"}
        try:
            if self.token_file is not None:
                headers["Authorization"] = f"Bearer {self.token_file.read_text().strip()}"
            if patch is not None:
                headers["Content-Type"] = "application/merge-patch+json"
            with httpx.Client(verify=self.tls, timeout=_TIMEOUT_S, trust_env=False) as client:
                return client.request(method, url, headers=headers, json=patch)
        except (OSError, httpx.HTTPError) as error:
            raise ProcessError(f"{self._what}: the Kubernetes API at {self.server} does not answer: {error}") from error

    def _body_of(self, answer: httpx.Response) -> dict[str, Any]:
        """The object in an answer; for a refusal the API gives a Status with a message."""
        try:
            body = answer.json()
        except ValueError as error:
            raise ProcessError(
                f"{self._what}: the Kubernetes API answered {answer.status_code} without JSON"
            ) from error
        if answer.status_code != httpx.codes.OK or not isinstance(body, dict):
            said = body.get("message", "") if isinstance(body, dict) else ""
            raise ProcessError(f"{self._what}: the Kubernetes API answered {answer.status_code}: {said}")
        return body

    @property
    def _what(self) -> str:
        return f"HTTPRoute {self.namespace}/{self.name}"


def _accepted(route: dict[str, Any]) -> bool:
    """Whether every gateway of the route has accepted it in its present generation."""
    generation = route["metadata"].get("generation", 0)
    parents = (route.get("status") or {}).get("parents") or []
    return bool(parents) and all(
        any(
            condition.get("type") == "Accepted"
            and condition.get("status") == "True"
            and condition.get("observedGeneration", 0) >= generation
            for condition in parent.get("conditions", [])
        )
        for parent in parents
    )
