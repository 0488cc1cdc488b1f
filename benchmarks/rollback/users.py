"""Users of a router, in an open loop. ``python -m benchmarks.rollback.users PORT RATE_PER_S USERS SEED SECONDS``."""

import asyncio
import sys
from random import Random

from benchmarks.engines.client import Answers, Pool, at_a_rate


async def _ask(port: int, rate_per_s: float, users: int, seed: int, seconds: float) -> None:
    random = Random(seed)

    async def one(pool: Pool, due_s: float, answers: Answers) -> None:
        user = f"user-{random.randrange(users)}"
        await pool.ask(f"GET / HTTP/1.1\r\nHost: shop\r\nX-User-Id: {user}\r\n\r\n".encode(), due_s, answers)

    await at_a_rate(port, one, rate_per_s, seconds)


if __name__ == "__main__":
    asyncio.run(_ask(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
