"""The clocks of this machine, read together: what each of them leaves out tells restarts, suspends and jumps apart."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Clocks:
    """One reading. ``boot_id`` changes with every start of the machine.

    ``wall_s`` (epoch) can be set and jumps; ``boot_s`` counts from the start of the machine, also while it is
    suspended; ``monotonic_s`` stands still then. Both never jump.
    """

    boot_id: str
    wall_s: float
    boot_s: float
    monotonic_s: float


def read_clocks() -> Clocks:
    """All clocks now."""
    # Outside Linux there is neither the id nor the clock that goes on in a suspend: a suspend is then a jump.
    boot_id = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else f"{psutil.boot_time():.0f}"
    boot_clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Clocks(boot_id, time.time(), time.clock_gettime(boot_clock), time.monotonic())
