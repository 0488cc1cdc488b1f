"""HAProxy as a rollout's router: share and salt are process variables, changed at run time without a reload."""

import re
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from processes.errors import ProcessError
from processes.ports import free_port
from processes.supervised import start, wait_until_ready
from rollouts.assignment import NOBODY_SLOT, SLOTS, USER_HEADER, salt_key
from rollouts.lease import CHECK_EVERY_S, CHECK_TIMEOUT_S, PATH
from rollouts.router_process import RouterProcess

_READY_PATH = "/.gonogo/ready"
_ADMIN_TIMEOUT_S = 5.0
_CONFIG = """\
global
    log stdout format raw local0
    stats socket {admin} mode 600 level admin
    nbthread 1
    set-var proc.canary_slots int(0)
    set-var proc.salt str({salt})
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 10s
    timeout check {check_timeout_ms}ms
    retries 0
    option dontlognull
frontend users
    bind 127.0.0.1:{port}
    monitor-uri {ready}
    log global
    log-format "gonogo %Ts.%ms %Th %Ti %Ta %ST %b %[var(txn.arm)] %[var(txn.user_hash)]"
    http-request set-var(txn.user) req.fhdr({header})
    http-request set-var(txn.user_hash) var(txn.user),xxh64
    http-request set-var(txn.slot) var(proc.salt),concat(:,txn.user),xxh32,mod({slots})
    http-request set-var(txn.slot) int({nobody}) if !{{ req.fhdr({header}) -m found }}
    http-request set-var(txn.arm) str(stable)
    http-request set-var(txn.arm) str(canary) if {{ var(txn.slot),sub(proc.canary_slots) lt 0 }}
    use_backend canary if {{ var(txn.arm) -m str canary }} {{ nbsrv(canary) gt 0 }}
    default_backend stable
backend stable
    server stable {stable} pool-purge-delay 2s
backend canary
    option httpchk GET {lease_path}
    server canary {canary} check addr 127.0.0.1 port {lease_port} inter {check_every_ms}ms fall 1 rise 1 pool-purge-delay 2s
"""  # noqa: E501


def find_haproxy() -> str | None:
    """The haproxy program of this machine; None when it is not installed."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/sbin")


class HaproxyRouter(RouterProcess):
    """A running HAProxy. Its admin socket lies in a folder of its own that only this user may enter."""

    kind = "haproxy"

    def __init__(self, program: str, *, stable_url: str, candidate_url: str, salt: str, work_dir: Path) -> None:
        self.version = _version_of(program)
        super().__init__(candidate_url, work_dir / "haproxy.log")
        self._admin = self._folder / "admin.sock"
        try:
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            config = work_dir / "haproxy.cfg"
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text(self._config(port, stable_url, candidate_url, salt))
            self._process = start("haproxy", [program, "-db", "-f", str(config)], log=self._log.path)
            wait_until_ready(self._process, self.url + _READY_PATH, timeout_s=20)
        except BaseException:
            self.close()
            raise

    def set_share(self, slots: int, salt: str | None = None) -> None:
        """See ``Router``. With a new salt the share passes through 0, so that no user is hashed by half of both."""
        if salt is not None:
            self._set("canary_slots", "int(0)")
            self._set("salt", f"str({salt_key(salt)})")
        self._set("canary_slots", f"int({slots})")

    def _config(self, port: int, stable_url: str, candidate_url: str, salt: str) -> str:
        return _CONFIG.format(
            admin=self._admin,
            salt=salt_key(salt),
            port=port,
            ready=_READY_PATH,
            header=USER_HEADER,
            slots=SLOTS,
            nobody=NOBODY_SLOT,
            stable=urlsplit(stable_url).netloc,
            canary=urlsplit(candidate_url).netloc,
            lease_path=PATH,
            lease_port=self._lease.port,
            check_every_ms=round(CHECK_EVERY_S * 1000),
            check_timeout_ms=round(CHECK_TIMEOUT_S * 1000),
        )

    def _set(self, variable: str, expression: str) -> None:
        """Set a process variable and read it back."""
        expected = f"value=<{expression[expression.index('(') + 1 : -1]}>"
        answer = self._command(f"experimental-mode on; set var proc.{variable} {expression}; get var proc.{variable}")
        if expected not in answer:
            raise ProcessError(f"haproxy did not set {variable} to {expression}: {answer.strip()!r}")

    def _command(self, command: str) -> str:
        try:
            with socket.socket(socket.AF_UNIX) as admin:
                admin.settimeout(_ADMIN_TIMEOUT_S)
                admin.connect(str(self._admin))
                admin.sendall(command.encode() + b"\n")
                parts = []
                while part := admin.recv(4096):
                    parts.append(part)
                return b"".join(parts).decode()
        except OSError as error:
            raise ProcessError(f"haproxy's admin socket does not answer: {error}") from error


def _version_of(program: str) -> str:
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False, timeout=20).stdout
    found = re.search(r"version (\S+)", said, re.IGNORECASE)
    return f"HAProxy {found[1]}" if found else "HAProxy"
