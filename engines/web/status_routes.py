"""What the service is, which of its parts work, and how it fares: for people, where /health is for proxies."""

import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
from fastapi import APIRouter, Depends
from pydantic import BaseModel

from engines import SERVICE
from engines.answer_cache import AnswerCache
from engines.canary.answers import Answers, measured
from engines.canary.health import memory_limit
from engines.settings import Settings
from engines.shared import Shared
from engines.web.admin import admin_of
from engines.web.problems import GATE_STATUSES, documented
from engines.web.schemas import example

_RECENT_ANSWERS = 100


class About(BaseModel):
    """What answers here."""

    model_config = example(
        service=SERVICE, version="4.0.0", release="phase4", document="/openapi.json", health="/health"
    )

    service: str
    version: str
    release: str
    document: str
    health: str


class ServiceHealth(BaseModel):
    """Whether the parts work that answers are made of; without its database the service is degraded, not down."""

    model_config = example(
        status="healthy",
        service_status={"status": "operational", "version": "4.0.0", "cached_requests": 12},
        dependencies={"router": "ready", "model": "9f3c0b1a", "database": "ready"},
        timestamp="2025-10-22T14:00:00Z",
    )

    status: str
    service_status: dict[str, str | int]
    dependencies: dict[str, str]
    timestamp: datetime


class ServiceStatus(BaseModel):
    """What this process is and has done."""

    model_config = example(
        status="operational", version="4.0.0", release="phase4", uptime_s=3600.5, requests=1200, cached_requests=12
    )

    status: str
    version: str
    release: str
    uptime_s: float
    requests: int
    cached_requests: int


class Memory(BaseModel):
    """The resident set of this process, and what it may have."""

    resident_bytes: int
    limit_bytes: int


class Disk(BaseModel):
    """Room where this process writes temporary files."""

    free_bytes: int
    total_bytes: int


class ResponseTime(BaseModel):
    """Times of the last 100 answers; null before the first."""

    answers: int
    mean_ms: float | None
    p95_ms: float | None


class DetailedHealth(BaseModel):
    """Parts, memory, disk, response times, and how long ago this process last knew what the others had changed."""

    model_config = example(
        status="healthy",
        version="4.0.0",
        timestamp="2025-10-22T14:00:00Z",
        components={"router": "ready", "model": "9f3c0b1a", "database": "ready"},
        memory={"resident_bytes": 150000000, "limit_bytes": 536870912},
        disk={"free_bytes": 10000000000, "total_bytes": 20000000000},
        response_time={"answers": 100, "mean_ms": 2.1, "p95_ms": 4.2},
        shared_state_age_s=0.4,
    )

    status: str
    version: str
    timestamp: datetime
    components: dict[str, str]
    memory: Memory
    disk: Disk
    response_time: ResponseTime
    shared_state_age_s: float


class FeatureFlags(BaseModel):
    """What is switched on in this process."""

    model_config = example(flags={"ensemble": True, "conversations": True, "experiment": False, "text_api": False})

    flags: dict[str, bool]


@dataclass(frozen=True)
class Parts:
    """What there is to be asked; ``components`` says which part works."""

    version: str
    settings: Settings
    shared: Shared
    answers: Answers
    cache: AnswerCache
    components: Callable[[], Awaitable[dict[str, str]]]


def status_routes(parts: Parts) -> APIRouter:
    """The routes of both releases."""
    routes = APIRouter()
    began_s = time.monotonic()
    release, version = parts.settings.release, parts.version
    refusals = documented(*GATE_STATUSES)

    @routes.get("/", responses=refusals)
    async def about() -> About:
        return About(service=SERVICE, version=version, release=release, document="/openapi.json", health="/health")

    @routes.get("/api/v2/health", tags=["health"], responses=refusals)
    async def health() -> ServiceHealth:
        components = await parts.components()
        works = "down" not in components.values()
        return ServiceHealth(
            status="healthy" if works else "degraded",
            service_status={
                "status": "operational" if works else "degraded",
                "version": version,
                "cached_requests": parts.cache.stats.kept,
            },
            dependencies=components,
            timestamp=datetime.now(UTC),
        )

    @routes.get("/api/v2/status", tags=["health"], responses=refusals)
    async def status() -> ServiceStatus:
        works = "down" not in (await parts.components()).values()
        return ServiceStatus(
            status="operational" if works else "degraded",
            version=version,
            release=release,
            uptime_s=round(time.monotonic() - began_s, 3),
            requests=len(parts.answers.all()),
            cached_requests=parts.cache.stats.kept,
        )

    @routes.get("/health/detailed", tags=["health"], responses=refusals)
    async def detailed() -> DetailedHealth:
        components = await parts.components()
        recent = measured(parts.answers.all()[-_RECENT_ANSWERS:])
        disk = shutil.disk_usage(tempfile.gettempdir())
        return DetailedHealth(
            status="degraded" if "down" in components.values() else "healthy",
            version=version,
            timestamp=datetime.now(UTC),
            components=components,
            memory=Memory(resident_bytes=psutil.Process().memory_info().rss, limit_bytes=memory_limit()),
            disk=Disk(free_bytes=disk.free, total_bytes=disk.total),
            response_time=ResponseTime(answers=recent.requests, mean_ms=recent.mean_ms, p95_ms=recent.p95_ms),
            shared_state_age_s=round(parts.shared.age_s, 3),
        )

    @routes.get(
        "/debug/feature-flags",
        dependencies=[Depends(admin_of(parts.settings))],
        responses=refusals | documented(403),
    )
    async def flags() -> FeatureFlags:
        phase4, switches = release == "phase4", parts.shared.switches.now
        return FeatureFlags(
            flags={
                "ensemble": phase4 and switches.canary.share > 0,
                "conversations": phase4,
                "experiment": phase4 and switches.experiment.running,
                "text_api": parts.settings.text_api is not None,
                "keys": bool(parts.settings.api_keys),
                "rate_limit": parts.settings.requests_per_minute is not None,
                "production": parts.settings.production,
            }
        )

    return routes
