"""Whom the ensemble answers within this release, and what this process measured.

Phase 4 alone: Phase 3 has one way to answer.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query
from fastapi.concurrency import run_in_threadpool

from engines.canary.answers import MOST_ERRORS, Answer, Answers, By, by_path, failures_in_a_row, measured
from engines.canary.health import LEAST_ANSWERS, Check, checks, memory_share, state_of
from engines.settings import Settings
from engines.shared import Shared
from engines.switches import Canary, SwitchStore
from engines.web.admin import admin_of
from engines.web.canary_schemas import (
    CanaryConfig,
    CanaryConfigRequest,
    CanaryExport,
    CanaryHealth,
    CanaryMetrics,
    CanaryStatus,
    Comparison,
    ErrorAnswer,
    ErrorList,
    HealthCheck,
    MeasuredAnswers,
    Ping,
)
from engines.web.problems import documented
from engines.web.schemas import Forgotten

_log = structlog.get_logger("ion")

_ENDPOINTS = ["/api/v2/recommend/personalized"]


def canary_routes(shared: Shared, answers: Answers, settings: Settings) -> APIRouter:
    """The routes; what changes or removes anything asks for the admin right."""
    routes, switches = APIRouter(prefix="/api/v2/canary", tags=["canary"]), shared.switches
    admin = [Depends(admin_of(settings))]

    @routes.get("/ping")
    async def ping() -> Ping:
        return Ping(status="ok", timestamp=datetime.now(UTC))

    @routes.get("/metrics")
    def metrics() -> CanaryMetrics:
        return _metrics(answers)

    @routes.get("/health")
    def health() -> CanaryHealth:
        return _health(answers)

    @routes.get("/status")
    async def status() -> CanaryStatus:
        now = await shared.calls.run(switches.read)
        return await run_in_threadpool(_status, now.canary, answers)

    @routes.post("/config", dependencies=admin, responses=documented(403))
    async def config(request: CanaryConfigRequest) -> CanaryConfig:
        before = (await shared.calls.run(switches.read)).canary
        wanted = Canary(
            before.enabled if request.enabled is None else request.enabled,
            before.percentage if request.canary_percentage is None else request.canary_percentage,
        )
        now = await shared.calls.run(_set, switches, before, wanted)
        return now.model_copy(update={"metadata": {"user_provided_metadata": request.metadata}})

    @routes.post("/rollback", dependencies=admin, responses=documented(403))
    async def rollback() -> CanaryConfig:
        before = (await shared.calls.run(switches.read)).canary
        return await shared.calls.run(_set, switches, before, Canary(enabled=False, percentage=0.0))

    @routes.get("/errors")
    async def errors(limit: Annotated[int, Query(ge=1, le=MOST_ERRORS)] = 50) -> ErrorList:
        return ErrorList(errors=_errors(answers, limit), total=len(answers.errors(MOST_ERRORS)))

    @routes.post("/metrics/reset", dependencies=admin, responses=documented(403))
    async def reset() -> Forgotten:
        return Forgotten(forgotten=answers.reset())

    @routes.get("/export/json")
    async def export() -> CanaryExport:
        now = await shared.calls.run(switches.read)
        return await run_in_threadpool(_exported, now.canary, answers)

    return routes


def _exported(canary: Canary, answers: Answers) -> CanaryExport:
    return CanaryExport(
        exported_at=datetime.now(UTC),
        status=_status(canary, answers),
        metrics=_metrics(answers),
        health=_health(answers),
        errors=_errors(answers, MOST_ERRORS),
    )


def _set(switches: SwitchStore, before: Canary, wanted: Canary) -> CanaryConfig:
    now = switches.set_canary(wanted).canary
    _log.info("canary share changed", before=before.share, now=now.share)
    return CanaryConfig(canary_percentage=now.percentage, enabled=now.enabled, previous_percentage=before.share)


def _metrics(answers: Answers) -> CanaryMetrics:
    all_of_them = answers.all()
    of = {by: _measured([answer for answer in all_of_them if answer.by is by]) for by in By}
    return CanaryMetrics(
        since=answers.since,
        all=_measured(all_of_them),
        canary=of[By.CANARY],
        legacy=of[By.LEGACY],
        comparison=_compared(of[By.CANARY], of[By.LEGACY]),
        endpoints={path: _measured(some) for path, some in sorted(by_path(all_of_them).items())},
    )


def _compared(canary: MeasuredAnswers, legacy: MeasuredAnswers) -> Comparison | None:
    if min(canary.requests, legacy.requests) < LEAST_ANSWERS:
        return None
    return Comparison(
        error_rate_difference=(canary.error_rate or 0.0) - (legacy.error_rate or 0.0),
        p95_ms_difference=round((canary.p95_ms or 0.0) - (legacy.p95_ms or 0.0), 3),
        canary_share_of_requests=canary.requests / (canary.requests + legacy.requests),
    )


def _health(answers: Answers) -> CanaryHealth:
    made = checks(answers.all(), memory_share())
    return CanaryHealth(status=state_of(made), checks=[_check(one) for one in made], timestamp=datetime.now(UTC))


def _status(canary: Canary, answers: Answers) -> CanaryStatus:
    found = answers.all()
    return CanaryStatus(
        enabled=canary.enabled,
        traffic_percentage=canary.share,
        health_status=state_of(checks(found, memory_share())),
        last_check=datetime.now(UTC),
        consecutive_failures=failures_in_a_row(found),
        endpoints=_ENDPOINTS,
    )


def _check(check: Check) -> HealthCheck:
    return HealthCheck(name=check.name, value=check.value, limit=check.limit, state=check.state)


def _measured(answers: Sequence[Answer]) -> MeasuredAnswers:
    return MeasuredAnswers(**asdict(measured(answers)))


def _errors(answers: Answers, most: int) -> list[ErrorAnswer]:
    return [
        ErrorAnswer(
            at=error.at,
            method=error.method,
            path=error.path,
            status=error.status,
            response_time_ms=error.ms,
            by=error.by,
            request_id=error.request_id,
            trace_id=error.trace_id,
        )
        for error in answers.errors(most)
    ]
