"""Calls of a database from the event loop: never more at a time than there are connections."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import TimeoutError as NoConnection

from engines.conversation.database import WAIT_S

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseCalls:
    """Runs what blocks in threads of their own, as many as the pool has connections.

    Who waits, waits in the event loop: in threads, each would hold one for seconds from those who come later.
    """

    def __init__(self, connections: int) -> None:
        self._free = asyncio.Semaphore(connections)
        self._connections = connections

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the call returns. Raises NoConnection, a SQLAlchemyError, when no connection is free within 5 s."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise NoConnection(f"all {self._connections} connections were in use for {WAIT_S} s") from None
        try:
            threads = CapacityLimiter(1)  # the semaphore has counted already
            return await to_thread.run_sync(partial(call, *args, **kwargs), limiter=threads)
        finally:
            self._free.release()
