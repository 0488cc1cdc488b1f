"""Client connections of the embedded proxy, of which there are never more than it has sockets for.

A proxy that ran out of sockets could not reach the versions, and would have to blame somebody. Whoever comes when all
places are taken waits in the listening socket's queue, as with HAProxy's ``maxconn``.
"""

import asyncio
import resource
import socket
from collections.abc import Awaitable, Callable

from rollouts.http_messages import MAX_HEAD_BYTES
from rollouts.version_connections import MOST_IDLE

MOST_CONNECTIONS = 2000
_OF_OUR_OWN = 2 * MOST_IDLE + 44
"""Sockets beside those of exchanges: idle ones of both versions, the control socket's, the log."""
_NO_SOCKET_LEFT_S = 1.0

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def most_connections() -> int:
    """How many clients can be served at once, after the limit of open files was raised as far as it goes.

    Each needs two sockets: its own, and one to a version.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OF_OUR_OWN + 2 * MOST_CONNECTIONS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(MOST_CONNECTIONS, (soft - _OF_OUR_OWN) // 2))


async def serve_connections(listener: socket.socket, serve: Serve, most: int) -> None:
    """Accept connections for ever, at most ``most`` at once, each in a task of its own."""
    loop, places, tasks = asyncio.get_running_loop(), asyncio.Semaphore(most), set[asyncio.Task[None]]()
    listener.setblocking(False)

    def ended(task: "asyncio.Task[None]") -> None:
        tasks.discard(task)
        places.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler({"message": "a client's connection broke the proxy", "exception": error})

    while True:
        await places.acquire()
        try:
            client, _ = await loop.sock_accept(listener)
        except OSError:
            places.release()
            await asyncio.sleep(_NO_SOCKET_LEFT_S)  # the machine has none left; this is all that can be done about it
            continue
        task = loop.create_task(_serve_one(client, serve))
        tasks.add(task)
        task.add_done_callback(ended)


async def _serve_one(client: socket.socket, serve: Serve) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await serve(*await asyncio.open_connection(sock=client, limit=MAX_HEAD_BYTES))
