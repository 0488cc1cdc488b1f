"""Runs the benchmark; see the package for what it claims."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from benchmarks.engines.client import Answers, Pool, at_a_rate, without_a_pause
from benchmarks.engines.largest import largest
from benchmarks.engines.server import CLIENT_CORE, Serving, bare, ion, serving
from benchmarks.engines.soak import soak
from benchmarks.engines.traffic import QUERY, recommendations
from engines.recommendation.ensemble import Ensemble
from engines.recommendation.interactions import read_interactions
from engines.recommendation.model import train
from engines.resonance_key import ALL_KEYS
from engines.synthetic import write

SEED = 2025
LEAST_PER_S = 500
HALF_PER_S = 250
MOST_P95_MS = 20
MOST_READY_S = 3
MOST_MB = 250
STARTS = 3
CLAIM_DOES_NOT_HOLD = 3

_CLIENTS = 8
_WARM_UP_S = 2.0


def main() -> int:
    """Measure, print, and return 0 when all claims hold, otherwise 3."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description="Measure ION Mentoring.")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each load")
    parser.add_argument("--soak", action="store_true", help="soak instead")
    parser.add_argument("--largest", action="store_true", help="teach the largest model instead")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the soak")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # a real disk: /tmp may be memory
        folder = Path(name)
        write(SEED, folder, arguments.users)
        if arguments.largest:
            return 0 if largest(folder) else CLAIM_DOES_NOT_HOLD
        if arguments.soak:
            with serving(*ion(folder)) as server:
                return 0 if soak(server, arguments.users, arguments.minutes) else CLAIM_DOES_NOT_HOLD
        return 0 if speed(folder, arguments.users, arguments.seconds) else CLAIM_DOES_NOT_HOLD


def speed(folder: Path, users: int, seconds: float) -> bool:
    """Print what was measured; returns whether all claims hold."""
    starts = [started(folder) for _ in range(STARTS - 1)]
    requests = recommendations(users)

    async def alone(pool: Pool, due_s: float, answers: Answers) -> None:
        await pool.ask(next(requests), due_s, answers)

    with serving(*ion(folder)) as server:
        starts.append((server.ready_s, server.ready_cpu_s))
        asyncio.run(without_a_pause(server.port, recommendations(users), _CLIENTS, _WARM_UP_S))
        full, full_cpu_s = loaded(server, users, seconds)
        half = asyncio.run(at_a_rate(server.port, alone, HALF_PER_S, seconds))
        rss_mb, size = server.rss_mb(), full.body_bytes
    with serving(*bare(size)) as nothing:
        bare_answers, bare_cpu_s = loaded(nothing, users, seconds / 3)
    ensemble_s = ensemble_seconds(folder)
    ready_s, ready_cpu_s = min(starts)
    p95_ms = half.percentile_ms(0.95)
    failed = full.failed + half.failed
    claims = [
        (f"at least {LEAST_PER_S} requests a second, none failed", full.rate_per_s >= LEAST_PER_S and not failed),
        (f"P95 below {MOST_P95_MS} ms at {HALF_PER_S} requests a second", p95_ms < MOST_P95_MS),
        (f"ready within {MOST_READY_S} s", ready_s < MOST_READY_S),
        (f"at most {MOST_MB} MB resident", rss_mb <= MOST_MB),
    ]
    of_each_s = full_cpu_s / len(full.latencies_s)
    bare_s = bare_cpu_s / len(bare_answers.latencies_s)
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    print(f"{users:,} users, {users * 15:,} interactions; load average of the machine {load}")
    print(f"  answered              {full.rate_per_s:8,.0f} /s  {_CLIENTS} clients without a pause, {failed} failed")
    print(
        f"    with a whole core   {1 / of_each_s:8,.0f} /s  {of_each_s * 1e6:.0f} µs of processor time each, of which"
    )
    print(f"      the HTTP server   {bare_s * 1e6:8,.0f} µs  a bare ASGI application that answers {size:,} bytes")
    print(f"      the ensemble      {ensemble_s * 1e6:8,.0f} µs  called without HTTP")
    print(
        f"      all between       {(of_each_s - bare_s - ensemble_s) * 1e6:8,.0f} µs  framework, checks, JSON, metrics"
    )
    print(f"  at {half.rate_per_s:3.0f} /s  P50        {half.percentile_ms(0.5):8.2f} ms")
    print(f"             P95        {p95_ms:8.2f} ms")
    print(f"             P99        {half.percentile_ms(0.99):8.2f} ms")
    print(
        f"  ready after           {ready_s:8.2f} s   {ready_cpu_s:.2f} s of processor time; the best of {STARTS} starts"
    )
    print(f"  resident              {rss_mb:8.0f} MB")
    for claim, holds in claims:
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {claim}")
    return all(holds for _, holds in claims)


def started(folder: Path) -> tuple[float, float]:
    """Seconds until ready, of the wall clock and of the processor."""
    with serving(*ion(folder)) as server:
        return server.ready_s, server.ready_cpu_s


def loaded(server: Serving, users: int, seconds: float) -> tuple[Answers, float]:
    """Answers without a pause, and the server's processor time for them."""
    before_s = server.cpu_s()
    answers = asyncio.run(without_a_pause(server.port, recommendations(users), _CLIENTS, seconds))
    return answers, server.cpu_s() - before_s


def ensemble_seconds(folder: Path, count: int = 5000) -> float:
    """Processor seconds of one recommendation without HTTP."""
    ensemble, random = Ensemble(train(read_interactions(folder / "interactions.csv"))), Random(3)
    users = list(ensemble.model.places)
    began_s = time.process_time()
    for _ in range(count):
        ensemble.recommend(random.choice(users), QUERY, random.choice(ALL_KEYS))
    return (time.process_time() - began_s) / count


if __name__ == "__main__":
    sys.exit(main())
