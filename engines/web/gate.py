"""What every request passes through: ids, key, rate limit, faults of a drill, metrics and logs. Plain ASGI: fast."""

import asyncio
import hmac
import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.recommendation.bounded import Bounded
from engines.settings import Settings
from engines.web.observability import REQUEST_DURATION, REQUESTS, trace_id
from engines.web.problems import problem

_log = structlog.get_logger("ion")

_SLOW_S = 2.0
_REMEMBERED_CLIENTS = 10_000
_LARGEST_BODY_BYTES = 100_000


class Gate:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._tokens: Bounded[str, tuple[float, float]] = Bounded(_REMEMBERED_CLIENTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event; only HTTP requests are gated."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")[:64] or secrets.token_hex(8)
        trace = _trace_of(headers.get("traceparent"))
        token = trace_id.set(trace)
        started_s, status = time.perf_counter(), 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marked = MutableHeaders(scope=message)
                marked["X-Request-Id"], marked["X-Trace-Id"] = request_id, trace
            await send(message)

        try:
            refusal = await self._refusal(scope, headers)
            await (refusal or self._app)(scope, receive, send_marked)
        finally:
            self._observe(scope, status, time.perf_counter() - started_s)
            trace_id.reset(token)

    async def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        """The answer to a request that goes no further; None when it may pass."""
        if not scope["path"].startswith("/api/"):
            return None
        if self._settings.api_keys and not self._has_key(headers.get("authorization", "")):
            return problem(401, "a bearer key is needed", {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > _LARGEST_BODY_BYTES:
            return problem(413, f"the body may have {_LARGEST_BODY_BYTES} bytes")
        client = headers.get("x-user-id") or (scope["client"] or ("",))[0]
        if (wait_s := self._wait_s(client)) > 0:
            return problem(429, "too many requests", {"Retry-After": str(max(1, round(wait_s)))})
        return await self._fault()

    def _has_key(self, authorization: str) -> bool:
        given = authorization.removeprefix("Bearer ").encode()
        return any([hmac.compare_digest(given, key.encode()) for key in self._settings.api_keys])  # noqa: C419 - all compared

    def _wait_s(self, client: str) -> float:
        """Seconds until the client may ask again; a bucket holds a minute's requests."""
        most = self._settings.requests_per_minute
        if most is None:
            return 0.0
        now = time.monotonic()
        tokens, at = self._tokens.get(client) or (float(most), now)
        tokens = min(float(most), tokens + (now - at) * most / 60)
        allowed = tokens >= 1
        self._tokens.put(client, (tokens - allowed, now))
        return 0.0 if allowed else (1 - tokens) * 60 / most

    async def _fault(self) -> ASGIApp | None:
        faults = self._settings.faults
        if faults.leak_mb_per_minute:
            faults.leak()
        if faults.latency_ms:
            await asyncio.sleep(faults.latency_ms / 1000)
        return problem(500, "the request could not be answered") if faults.fails_now() else None

    def _observe(self, scope: Scope, status: int, duration_s: float) -> None:
        route = scope.get("route")
        path = getattr(route, "path", None) or "unmatched"
        REQUESTS.labels(scope["method"], path, str(status)).inc()
        REQUEST_DURATION.labels(path).observe(duration_s)
        if status >= 500 or duration_s > _SLOW_S:
            _log.warning(
                "slow request" if status < 500 else "failed request",
                http={"method": scope["method"], "path": path, "status_code": status},
                duration_ms=round(duration_s * 1000, 3),
            )


def _trace_of(traceparent: str | None) -> str:
    """The trace id of a W3C ``traceparent`` header, or a new one."""
    parts = (traceparent or "").split("-")
    if len(parts) == 4 and len(parts[1]) == 32 and set(parts[1]) <= set("0123456789abcdef"):
        return parts[1]
    return secrets.token_hex(16)
