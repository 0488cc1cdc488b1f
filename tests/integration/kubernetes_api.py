"""A stand-in for the Kubernetes API, for one HTTPRoute. It was written from the documentation; no cluster was recorded.

It answers as the API does: a bearer token or 401; 404; merge patches by RFC 7386 or 415; 409 for a patch of another
resourceVersion; 422 for weights out of range; a new resourceVersion for each change and a new generation for each
change of the spec. A gateway accepts each generation, unless ``gateway_accepts`` is taken away.
"""

import copy
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/ion/httproutes/ion-mentoring"


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def http_route() -> dict[str, Any]:
    """As ``kubectl get httproute -o json`` gives it; another rule and other annotations must survive."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "ion-mentoring", "namespace": "ion", "resourceVersion": "100", "generation": 1,
            "annotations": {"owner": "team-ion"},
        },
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"}],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [
                        {"group": "", "kind": "Service", "name": "ion-stable", "port": 8080, "weight": 1},
                        {"group": "", "kind": "Service", "name": "ion-candidate", "port": 8080, "weight": 0},
                    ],
                },
                {"matches": [{"path": {"type": "PathPrefix", "value": "/docs"}}], "backendRefs": [{"name": "docs"}]},
            ],
        },
        "status": {},
    }  # fmt: skip


@dataclass
class KubernetesApi:
    token: str = "first"
    route: dict[str, Any] = field(default_factory=http_route)
    gateway_accepts: bool = True
    before_patch: Callable[["KubernetesApi"], None] | None = None
    patches: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    url: str = ""

    def __post_init__(self) -> None:
        self.reconcile()

    def weights(self) -> tuple[int, int]:
        stable, candidate = self.route["spec"]["rules"][0]["backendRefs"]
        return stable["weight"], candidate["weight"]

    def change(self, patch: dict[str, Any]) -> None:
        """What the API does with a change that it takes, whoever makes it."""
        with self.lock:
            before = copy.deepcopy(self.route)
            self.route = merged(self.route, patch)
            metadata = self.route["metadata"]
            metadata["resourceVersion"] = str(int(before["metadata"]["resourceVersion"]) + 1)
            metadata["generation"] = before["metadata"]["generation"] + (self.route["spec"] != before["spec"])
            if self.gateway_accepts:
                self.reconcile()

    def reconcile(self) -> None:
        """What the gateway's controller does."""
        condition = {"type": "Accepted", "status": "True", "observedGeneration": self.route["metadata"]["generation"]}
        self.route["status"] = {"parents": [{"parentRef": {"name": "front"}, "conditions": [condition]}]}

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        if headers.get("Authorization") != f"Bearer {self.token}":
            return refusal(401, "Unauthorized", "Unauthorized")
        if path != PATH:
            return refusal(
                404, "NotFound", f'httproutes.gateway.networking.k8s.io "{path.rsplit("/", 1)[1]}" not found'
            )
        if method == "GET":
            return 200, self.route
        if headers.get("Content-Type") != "application/merge-patch+json":
            return refusal(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        hook, self.before_patch = self.before_patch, None
        if hook is not None:
            hook(self)
        patch = json.loads(body)
        version = patch.get("metadata", {}).get("resourceVersion")
        if version not in (None, self.route["metadata"]["resourceVersion"]):
            return refusal(
                409, "Conflict", "the object has been modified; please apply your changes to the latest version"
            )
        for rule in patch.get("spec", {}).get("rules", []):
            if any(not 0 <= backend.get("weight", 1) <= 1_000_000 for backend in rule["backendRefs"]):
                return refusal(422, "Invalid", "weight: should be between 0 and 1000000")
        self.patches.append(patch)
        self.change(patch)
        return 200, self.route


def refusal(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return code, status | {"code": code}


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own CA, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = folder / "ca.crt", folder / "key.pem"
    ca_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    unencrypted = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted))
    return ca_file, key_file


@contextmanager
def kubernetes_api(folder: Path) -> Iterator[KubernetesApi]:
    """The API over HTTPS on a free port; its CA and token lie in ``folder`` as ``ca.crt`` and ``token``."""
    api = KubernetesApi()
    (folder / "token").write_text(api.token + "\n")

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with api.lock:
                code, answer = api.answer(self.command, self.path, self.headers, body)
                content = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PATCH = respond

        def log_message(self, format: str, *args: object) -> None:
            """Tests look at patches, not at lines."""

    ca_file, key_file = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        api.url = f"https://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
