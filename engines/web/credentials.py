"""Who may ask, and how often: bearer keys and a bucket of requests for each client."""

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Sequence

from engines.recommendation.bounded import Bounded

_REMEMBERED_CLIENTS = 10_000


class Keys:
    """The keys that let in. The digests of all are compared: the time tells neither a length nor which key is near."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def holder(self, authorization: str) -> bytes | None:
        """What stands for the key in an Authorization header; None without one, and empty where no key is asked for."""
        if not self._digests:
            return b""
        scheme, _, given = authorization.partition(" ")
        digest = _digest(given.strip())
        known = any([hmac.compare_digest(digest, own) for own in self._digests])  # noqa: C419 - all compared
        return digest if known and scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def client_of(holder: bytes, user_id: str, address: str) -> bytes:
    """Sixteen bytes that stand for whoever asks, however long their names are.

    Only who holds a key is believed to ask for a user: else one could ask as everybody, or spend what is another's.
    """
    named = f"user {user_id}" if holder and user_id else f"address {address}"
    return hashlib.blake2b(holder + named.encode("utf-8", "replace"), digest_size=16).digest()


class RateLimit:
    """A bucket for each client that holds a minute's requests and fills evenly; of 10,000 clients at most."""

    def __init__(self, per_minute: int | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._most, self._now_s = per_minute, now_s
        self._buckets: Bounded[bytes, tuple[float, float]] = Bounded(_REMEMBERED_CLIENTS)

    def wait_s(self, client: bytes) -> int:
        """Whole seconds after which the client may ask again; 0 when it may now."""
        if self._most is None:
            return 0
        now = self._now_s()
        tokens, at = self._buckets.get(client) or (float(self._most), now)
        tokens = min(float(self._most), tokens + (now - at) * self._most / 60)
        allowed = tokens >= 1
        self._buckets.put(client, (tokens - allowed, now))
        return 0 if allowed else max(1, math.ceil((1 - tokens) * 60 / self._most))
