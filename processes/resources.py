"""What one process uses, read from the operating system."""

from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Resources:
    """One reading of a process. ``created_at_s`` tells a restarted process with the same pid apart."""

    pid: int
    created_at_s: float
    rss_bytes: int
    cpu_s: float
    open_files: int
    threads: int
    connections: int


def read_resources(pid: int) -> Resources | None:
    """Read a process now; None when it no longer exists (a gap, never a zero)."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            cpu = process.cpu_times()
            return Resources(
                pid=pid,
                created_at_s=process.create_time(),
                rss_bytes=process.memory_info().rss,
                cpu_s=cpu.user + cpu.system,
                open_files=process.num_fds(),
                threads=process.num_threads(),
                connections=len(process.net_connections()),
            )
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None
