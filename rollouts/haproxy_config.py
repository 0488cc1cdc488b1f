"""The configuration of an HAProxy that routes a rollout."""

import re
from dataclasses import dataclass
from pathlib import Path

from rollouts.assignment import NOBODY_SLOT, SLOTS, USER_HEADER
from rollouts.lease import CHECK_EVERY_S, CHECK_TIMEOUT_S, PATH

READY_PATH = "/.gonogo/ready"

_CONFIG = """\
global
    log stdout format raw local0
    stats socket {admin} mode 600 level admin
    nbthread 1
    noreuseport
    set-var proc.canary_slots int(0)
    set-var proc.salt str({salt_key})
    set-var proc.lease_from_ms int(0)
    set-var proc.lease_until_ms int(0)
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout http-request 60s
    timeout server 10s
    timeout tunnel 1h
    timeout check {check_timeout_ms}ms
    retries 0
    option dontlognull
frontend users
    bind {listen}
    monitor-uri {ready}
    log global
    log-format "gonogo %Ts.%ms %Th %Ti %Ta %ST %b %[var(txn.arm)] %[var(txn.user_hash)] %ts %Tr"
    http-request deny deny_status 400 if METH_CONNECT
    acl has_user req.fhdr({header}) -m len gt 0
    http-request set-var(txn.user) req.fhdr({header})
    http-request set-var(txn.user_hash) var(txn.user),sha1,bytes(0,8),hex,lower if has_user
    http-request set-var(txn.slot) var(proc.salt),concat(:,txn.user),xxh32,mod({slots})
    http-request set-var(txn.slot) int({nobody}) if !has_user
    http-request set-var(txn.arm) str(stable)
    http-request set-var(txn.arm) str(canary) if {{ var(txn.slot),sub(proc.canary_slots) lt 0 }}
    http-request set-var(txn.now_ms) date(0,ms)
    http-request set-var(proc.lease_until_ms) int(0) if {{ var(txn.now_ms),sub(proc.lease_from_ms) lt 0 }}
    use_backend canary if {{ var(txn.arm) -m str canary }} {{ nbsrv(canary) gt 0 }}{holds}
    default_backend stable
backend stable
    server stable {stable} pool-purge-delay 2s
backend canary
    {option}
    server canary {canary} check{check} inter {check_every_ms}ms fall 1 rise 1 pool-purge-delay 2s
"""


@dataclass(frozen=True)
class LeaseRule:
    """How HAProxy knows whether the lease holds: as a condition of the route, or by what its health check asks."""

    holds: str
    option: str
    check: str


def checked_lease(port: int) -> LeaseRule:
    """The health check of the canary asks the endpoint of a ``Lease`` instead of the canary itself."""
    return LeaseRule("", f"option httpchk GET {PATH}", f" addr 127.0.0.1 port {port}")


KEPT_LEASE = LeaseRule(" { var(txn.now_ms),sub(proc.lease_until_ms) lt 0 }", "option tcp-check", "")
"""The lease is a time in HAProxy's own variables: it lapses by itself, and nothing else need run for that.

The only clock that a condition may ask is the wall clock. When that is set back to before the lease's beginning, the
lease ends for good, at the next request: it would otherwise be as much longer.
"""


def haproxy_config(*, listen: str, stable: str, canary: str, admin: Path, salt_key: str, lease: LeaseRule) -> str:
    """The whole configuration file; ``listen``, ``stable`` and ``canary`` are host:port.

    A second router on the same port does not start: the kernel would give it half of the users, who would be out of
    reach of whoever holds the admin socket of the other.
    """
    return _CONFIG.format(
        admin=re.sub(r"([\s#\\'\"])", r"\\\1", str(admin)),
        salt_key=salt_key,
        listen=listen,
        ready=READY_PATH,
        header=USER_HEADER,
        slots=SLOTS,
        nobody=NOBODY_SLOT,
        stable=stable,
        canary=canary,
        check_every_ms=round(CHECK_EVERY_S * 1000),
        check_timeout_ms=round(CHECK_TIMEOUT_S * 1000),
        **vars(lease),
    )
