"""Outcomes of users, in both releases; and in Phase 4 the experiment that compares its two ways to answer."""

import csv
import io
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import StreamingResponse

from engines.experiments.analysis import analysed
from engines.experiments.metrics import METRICS, PLANNED_USERS_PER_ARM
from engines.experiments.outcomes import Outcome, rows
from engines.experiments.statistics import ALPHA
from engines.settings import Settings
from engines.shared import Shared
from engines.switches import Arm, Experiment
from engines.web.admin import admin_of
from engines.web.callers import caller, check_same_user
from engines.web.experiment_schemas import (
    ExperimentAnalysis,
    ExperimentConfig,
    ExperimentReport,
    ExperimentStatus,
    MetricCompared,
    MetricDescription,
    MetricList,
    Recorded,
    Told,
)
from engines.web.experiment_views import analysis_shown, metric_shown, report_shown
from engines.web.problems import documented
from engines.web.schemas import Forgotten

_log = structlog.get_logger("ion")

_MOST_ROWS = 50_000
_ROWS_AT_ONCE = 1000
_CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Outcomes in the order of time; a cell is empty where the row is of another metric.",
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "at,user_id,accuracy,session_duration\n2025-10-30T08:00:00.000000Z,user-00001,1,\n",
            }
        },
    }
}
_BEGINS_AS_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d")
_Since = Annotated[
    str, Query(max_length=40, description="The earliest time, inclusive.", json_schema_extra={"format": "date-time"})
]
ArmOf = Callable[[str], Arm | None]


def experiment_routes(shared: Shared, arm_of: ArmOf, settings: Settings) -> APIRouter:
    """The routes. What is of all users, and what changes or removes anything, asks for the admin right."""
    routes = APIRouter(prefix="/api/v2/experiments", tags=["experiments"])
    admin = [Depends(admin_of(settings))]
    user = Annotated[str | None, Depends(caller(needed=settings.production))]
    switches, outcomes = shared.switches, shared.outcomes

    async def running() -> datetime:
        began_at = (await shared.calls.run(switches.read)).experiment.began_at
        if began_at is None or settings.release == "phase3":
            raise HTTPException(409, "no experiment runs")
        return began_at

    @routes.post("/record", responses=documented(403))
    async def record(request: Told, asking: user) -> Recorded:
        check_same_user(request.user_id, asking)
        arm, source = arm_of(request.user_id), secrets.token_urlsafe(16)
        told = (request.metric_name, request.user_id, request.value, arm, source, request.session_id)
        at = await shared.calls.run(outcomes.record, *told)
        assert at is not None  # its source is new
        return Recorded(
            user_id=request.user_id,
            metric_name=request.metric_name,
            value=request.value,
            arm=arm,
            recorded_at=at,
            metadata={"user_provided_metadata": request.metadata},
        )

    @routes.get("/status")
    async def status() -> ExperimentStatus:
        experiment = (await shared.calls.run(switches.read)).experiment
        counts = await shared.calls.run(outcomes.counts)
        return ExperimentStatus(running=experiment.running, began_at=experiment.began_at, outcomes=counts)

    # Both before the metric of any name, which would take "list" and "reset" for one.
    @routes.get("/metrics/list")
    async def metric_list() -> MetricList:
        return MetricList(metrics=[MetricDescription(**asdict(metric)) for metric in METRICS.values()])

    @routes.post("/metrics/reset", dependencies=admin, responses=documented(403))
    async def reset() -> Forgotten:
        removed = await shared.calls.run(outcomes.remove_all)
        _log.info("outcomes removed", outcomes=removed)
        return Forgotten(forgotten=removed)

    @routes.get("/metrics/{name}", responses=documented(404, 409))
    async def metric(name: str) -> MetricCompared:
        if name not in METRICS:
            raise HTTPException(404, "there is no such metric")
        found = await shared.calls.run(analysed, outcomes, await running())
        if missing := found.metrics[name].missing:
            raise HTTPException(409, missing)
        return metric_shown(name, found)

    @routes.get("/analysis", responses=documented(409))
    async def analysis(began_at: Annotated[datetime, Depends(running)]) -> ExperimentAnalysis:
        return analysis_shown(await shared.calls.run(analysed, outcomes, began_at), began_at)

    @routes.get("/report", responses=documented(409))
    async def report(began_at: Annotated[datetime, Depends(running)]) -> ExperimentReport:
        return report_shown(await shared.calls.run(analysed, outcomes, began_at), began_at)

    @routes.get("/configuration")
    async def configuration() -> ExperimentConfig:
        return _configured((await shared.calls.run(switches.read)).experiment)

    @routes.post("/start", dependencies=admin, responses=documented(403, 409))
    async def start() -> ExperimentConfig:
        if settings.release == "phase3":
            raise HTTPException(409, "this release has one way to answer: there is nothing to compare")
        if (await shared.calls.run(switches.read)).experiment.running:
            raise HTTPException(409, "an experiment runs")
        now = await shared.calls.run(switches.start_experiment)
        _log.info("experiment started")
        return _configured(now.experiment)

    @routes.post("/stop", dependencies=admin, responses=documented(403))
    async def stop() -> ExperimentConfig:
        now = await shared.calls.run(switches.stop_experiment)
        _log.info("experiment stopped")
        return _configured(now.experiment)

    @routes.get(
        "/outcomes", dependencies=admin, responses={**documented(403), **_CSV}, response_class=StreamingResponse
    )
    async def exported(
        since: _Since = "1970-01-01T00:00:00Z",
        limit: Annotated[int, Query(ge=1, le=_MOST_ROWS)] = 10_000,
    ) -> StreamingResponse:
        began = _time(since)
        first = await shared.calls.run(outcomes.page, began, None, min(limit, _ROWS_AT_ONCE))
        return StreamingResponse(_csv(shared, began, first, limit), media_type="text/csv")

    return routes


async def _csv(shared: Shared, since: datetime, page: list[Outcome], limit: int) -> AsyncIterator[str]:
    """No connection to the database is held while a client reads; an outage breaks the answer off."""
    yield _lines([("at", "user_id", *METRICS)])
    while page:
        yield _lines(rows(page, METRICS))
        limit -= len(page)
        page = await shared.calls.run(shared.outcomes.page, since, page[-1], min(limit, _ROWS_AT_ONCE)) if limit else []


def _lines(of_rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(of_rows)
    return text.getvalue()


def _time(text: str) -> datetime:
    try:
        if not _BEGINS_AS_TIME.match(text):
            raise ValueError
        at = datetime.fromisoformat(text.upper())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise HTTPException(422, "since: expected a time such as 2025-10-30T08:00:00Z") from None


def _configured(experiment: Experiment) -> ExperimentConfig:
    return ExperimentConfig(
        running=experiment.running,
        salt=experiment.salt,
        began_at=experiment.began_at,
        arms={Arm.CONTROL: "resonance_router", Arm.TREATMENT: "ensemble"},
        alpha=ALPHA,
        planned_users_per_arm=PLANNED_USERS_PER_ARM,
    )
