"""What is kept in memory to answer sooner, and how to forget it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from engines.answer_cache import AnswerCache
from engines.resonance_router import route
from engines.settings import Settings
from engines.web.admin import admin_of
from engines.web.problems import documented
from engines.web.schemas import Forgotten, example

Pattern = Annotated[
    str,
    Query(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z_:*?-]+$",
        description="Of persona:key, with * and ?, such as Lua:* or *:calm-*.",
        examples=["Lua:*"],
    ),
]


class Cache(BaseModel):
    """One cache: how full, and how often it had what was asked; the rate is null before anything was asked."""

    name: str
    kept: int
    most: int
    hits: int
    misses: int
    hit_rate: float | None


class CacheStats(BaseModel):
    """All caches of this process."""

    model_config = example(
        caches=[{"name": "answers", "kept": 12, "most": 1000, "hits": 80, "misses": 20, "hit_rate": 0.8}]
    )

    caches: list[Cache]


def cache_routes(answers: AnswerCache, settings: Settings) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v2", tags=["cache"])
    admin = [Depends(admin_of(settings))]

    @routes.get("/cache-stats")
    async def stats() -> CacheStats:
        found, routed = answers.stats, route.cache_info()
        return CacheStats(
            caches=[
                _cache("answers", found.kept, found.most, found.hits, found.misses),
                _cache("routes", routed.currsize, routed.maxsize or 0, routed.hits, routed.misses),
            ]
        )

    @routes.post("/cache/clear", dependencies=admin, responses=documented(403))
    async def clear() -> Forgotten:
        forgotten = answers.clear() + route.cache_info().currsize
        route.cache_clear()
        return Forgotten(forgotten=forgotten)

    @routes.post("/cache/invalidate", dependencies=admin, responses=documented(403))
    async def invalidate(pattern: Pattern) -> Forgotten:
        return Forgotten(forgotten=answers.invalidate(pattern))

    return routes


def _cache(name: str, kept: int, most: int, hits: int, misses: int) -> Cache:
    asked = hits + misses
    return Cache(name=name, kept=kept, most=most, hits=hits, misses=misses, hit_rate=hits / asked if asked else None)
