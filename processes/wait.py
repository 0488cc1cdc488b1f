"""Wait for a condition, never for a time."""

import time
from collections.abc import Callable

from processes.errors import ProcessError


def wait_for(condition: Callable[[], bool], *, what: str, timeout_s: float, interval_s: float = 0.05) -> float:
    """Poll ``condition`` until it holds and return the seconds waited.

    Raises ProcessError, naming ``what``, when it does not hold within ``timeout_s``.
    """
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout_s:
            raise ProcessError(f"{what}: not within {timeout_s:g} s")
        time.sleep(interval_s)
    return time.monotonic() - started
