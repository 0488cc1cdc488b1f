"""Open the router that the plan asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from processes.errors import UsageError
from rollouts.embedded_router import EmbeddedRouter
from rollouts.haproxy_router import HaproxyRouter, find_haproxy
from rollouts.router import Router


@contextmanager
def open_router(
    *,
    kind: Literal["auto", "haproxy", "embedded"],
    stable_url: str,
    candidate_url: str,
    salt: str,
    work_dir: Path,
) -> Iterator[Router]:
    """A router in front of both versions with everyone on stable; stopped at the end of the block.

    ``auto`` is HAProxy where it is installed and the embedded proxy elsewhere. The request log lies in ``work_dir``
    and is appended to. Raises UsageError when HAProxy is asked for and not installed, ProcessError when the router
    does not start.
    """
    program = program_of(kind)
    router: Router
    if program is not None:
        router = HaproxyRouter(
            program, stable_url=stable_url, candidate_url=candidate_url, salt=salt, work_dir=work_dir
        )
    else:
        router = EmbeddedRouter(stable_url=stable_url, candidate_url=candidate_url, salt=salt, work_dir=work_dir)
    try:
        yield router
    finally:
        router.close()


def program_of(kind: Literal["auto", "haproxy", "embedded"]) -> str | None:
    """The haproxy program to use; None: the embedded proxy. Raises UsageError when HAProxy is asked for in vain."""
    program = find_haproxy() if kind != "embedded" else None
    if kind == "haproxy" and program is None:
        raise UsageError("router kind haproxy: HAProxy is not installed; install it, or say auto or embedded")
    return program
