"""What every request passes through: ids, key, limits, faults of a drill, metrics and logs. Plain ASGI: fast."""

import asyncio
import re
import secrets
import time

import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.canary.answers import Answer, Answers
from engines.settings import Settings
from engines.web.credentials import Keys, RateLimit, client_of
from engines.web.observability import IN_FLIGHT, answered_by, observe_answer, request_id, trace_id
from engines.web.problems import problem

_log = structlog.get_logger("ion")

_SLOW_S = 2.0
_LARGEST_BODY_BYTES = 100_000
_MOST_IN_FLIGHT = 1000
_BODY_WITHIN_S = 10.0
_TOO_LARGE = f"the body may have {_LARGEST_BODY_BYTES} bytes"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# W3C Trace Context: ff is no version, zeros are no ids, and only versions after 00 may add fields.
_TRACEPARENT = re.compile(
    r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
# Whoever watches the service would change what they see.
_WATCHING = ("/api/v2/canary", "/api/v2/experiments")
# Whatever else a client calls its method is one label: what clients choose must not grow the number of series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Said twice they could mean one user or key to whatever is in front of the service, and another one here.
_ONCE = ("authorization", "x-user-id")

OPEN_PATHS = frozenset({"/health", "/health/ready", "/metrics", "/openapi.json"})
"""What needs no key and has no limit; everything else does."""


class Gate:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, settings: Settings, answers: Answers) -> None:
        self._app, self._answers = app, answers
        self._faults = settings.faults
        self._keys = Keys((*settings.api_keys, *settings.admin_keys) if settings.api_keys else ())
        self._limit = RateLimit(settings.requests_per_minute)
        self._in_flight = self._receiving = 0
        IN_FLIGHT.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event; only HTTP requests are gated."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        parent = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
        trace = parent.group(1) if parent else secrets.token_hex(16)
        tokens = request_id.set(request), trace_id.set(trace), answered_by.set(None)
        started_s, status = time.perf_counter(), 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marked = MutableHeaders(scope=message)
                marked["X-Request-Id"], marked["X-Trace-Id"] = request, trace
                marked["X-Content-Type-Options"] = "nosniff"
            await send(message)

        self._in_flight += 1
        try:
            refusal = await self._refusal(scope, headers)
            await (refusal or self._app)(scope, self._limited(receive), send_marked)
        finally:
            self._in_flight -= 1
            _observe(scope, status, time.perf_counter() - started_s, self._answers)
            request_id.reset(tokens[0])
            trace_id.reset(tokens[1])
            answered_by.reset(tokens[2])

    async def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        """The answer to a request that goes no further; None when it may pass."""
        if scope["path"] in OPEN_PATHS:
            return None
        for name in _ONCE:
            if len(headers.getlist(name)) > 1:
                return problem(400, f"{name} may be given once")
        holder = self._keys.holder(headers.get("authorization", ""))
        if holder is None:
            return problem(401, "a bearer key is needed", {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > _LARGEST_BODY_BYTES:
            return problem(413, _TOO_LARGE)
        if wait_s := self._limit.wait_s(client_of(holder, headers.get("x-user-id", ""), (scope["client"] or ("",))[0])):
            return problem(429, "too many requests", {"Retry-After": str(wait_s)})
        if self._in_flight - self._receiving > _MOST_IN_FLIGHT:  # who sends slowly takes nobody's place
            return problem(503, "the service has too much to do", {"Retry-After": "1"})
        return await self._fault()

    async def _fault(self) -> ASGIApp | None:
        if self._faults.leak_mb_per_minute:
            self._faults.leak()
        if self._faults.latency_ms:
            await asyncio.sleep(self._faults.latency_ms / 1000)
        return problem(500, "the request could not be answered") if self._faults.fails_now() else None

    def _limited(self, receive: Receive) -> Receive:
        """Bound a body in bytes, counted as they come (one sent in chunks does not say its length), and in time."""
        received, complete = 0, False
        until_s = time.monotonic() + _BODY_WITHIN_S

        async def receive_counted() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            self._receiving += 1
            try:
                async with asyncio.timeout(until_s - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "the body did not come in time", {"Connection": "close"}) from None
            finally:
                self._receiving -= 1
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > _LARGEST_BODY_BYTES:
                raise HTTPException(413, _TOO_LARGE)
            return message

        return receive_counted


def _observe(scope: Scope, status: int, duration_s: float, answers: Answers) -> None:
    path = getattr(scope.get("route"), "path", None) or "unmatched"
    method = scope["method"] if scope["method"] in _METHODS else "other"
    observe_answer(method, path, status, duration_s)
    if scope["path"] not in OPEN_PATHS and not path.startswith(_WATCHING):
        by, ids = answered_by.get(), (request_id.get(), trace_id.get()) if status >= 500 else ("", "")
        answers.note(Answer(time.time(), method, path, status, round(duration_s * 1000, 3), by, *ids))
    if status >= 400 or duration_s > _SLOW_S:
        log, what = (_log.error, "failed request") if status >= 500 else (_log.warning, "slow request")
        log(
            "refused request" if 400 <= status < 500 else what,
            http={"method": method, "path": path, "status_code": status},
            duration_ms=round(duration_s * 1000, 3),
        )
