"""Ten minutes at 100 requests a second, and whether memory shows a trend."""

import asyncio
import json
import statistics
import time
from random import Random

from benchmarks.engines.client import Answers, Pool, at_a_rate, post
from benchmarks.engines.server import Serving
from benchmarks.engines.traffic import QUERY, recommendation, user_of

RATE_PER_S = 100.0
MOST_GROWTH = 0.01
SETTLED_AFTER = 0.3
_COMPARES, _RATES = 0.25, 0.1
_TEACHES_EVERY_S = 60
_REQUESTS_A_JOURNEY = 1 + _COMPARES + _RATES


def soak(server: Serving, users: int, minutes: float) -> bool:
    """Print what was measured; returns whether memory showed no trend and nothing failed."""
    samples: list[tuple[float, float]] = []
    seconds = minutes * 60
    settled_s, taught, began_s = SETTLED_AFTER * seconds, 0, time.perf_counter()
    random = Random(4)

    async def journey(pool: Pool, due_s: float, answers: Answers) -> None:
        nonlocal taught
        if settled_s > due_s - began_s > (taught + 1) * _TEACHES_EVERY_S:
            taught += 1
            await pool.ask(post("/api/v2/recommend/train", {}), due_s, answers)
            return
        user = user_of(random, users)
        made = json.loads(await pool.ask(recommendation(random, user), due_s, answers))
        if random.random() < _COMPARES:
            compared = post("/api/v2/recommend/compare", {"user_id": user, "query": QUERY})
            await pool.ask(compared, pool.now(), answers)
        if random.random() < _RATES:
            body = {"user_id": user, "recommendation_id": made["recommendation_id"], "rating": random.uniform(-1, 1)}
            await pool.ask(post("/api/v2/recommend/feedback", body), pool.now(), answers)

    answers = asyncio.run(
        at_a_rate(
            server.port,
            journey,
            RATE_PER_S / _REQUESTS_A_JOURNEY,
            seconds,
            lambda at_s: samples.append((at_s, server.rss_mb())),
        )
    )
    window_s = seconds / 10
    first = statistics.median(mb for at_s, mb in samples if settled_s <= at_s < settled_s + window_s)
    last = statistics.median(mb for at_s, mb in samples if at_s >= seconds - window_s)
    growth = last / first - 1
    print(f"{minutes:g} minutes, {users:,} users, {answers.rate_per_s:.0f} requests/s, {answers.failed} failed")
    print(f"  {taught} models taught before memory had settled")
    print(f"  P50 {answers.percentile_ms(0.5):.2f} ms, P95 {answers.percentile_ms(0.95):.2f} ms")
    print(f"  resident in MB, by tenths: {', '.join(f'{mb:.1f}' for mb in by_tenths(samples, seconds))}")
    holds = growth <= MOST_GROWTH and not answers.failed
    print(f"{'holds' if holds else 'DOES NOT HOLD'}: no trend: {growth:+.2%} from {first:.1f} to {last:.1f} MB")
    return holds


def by_tenths(samples: list[tuple[float, float]], seconds: float) -> list[float]:
    """Medians of the tenths of a soak."""
    tenths = range(10)
    return [statistics.median(mb for at_s, mb in samples if int(10 * at_s / seconds) == tenth) for tenth in tenths]
