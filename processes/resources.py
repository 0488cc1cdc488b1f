"""What a process and its children use, read from the operating system."""

from dataclasses import dataclass, replace

import psutil


@dataclass(frozen=True)
class Resources:
    """One reading. ``created_at_s`` tells a restarted process with the same pid apart.

    What a source does not tell is None. ``processes``: how many processes the figures are the sums of.
    """

    pid: int | None
    created_at_s: float
    rss_bytes: int
    cpu_s: float
    open_files: int | None
    threads: int | None
    connections: int | None
    processes: int | None = 1


def read_resources(pid: int) -> Resources | None:
    """Read a process now; None when it no longer exists (a gap, never a zero)."""
    try:
        return _read(psutil.Process(pid))
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None


def read_tree(pid: int) -> Resources | None:
    """Read a process with all its descendants, as sums, so that a leak in a forked worker is seen.

    Pages that they share count once for each. The CPU time of children that ended counts as far as the process waited
    for them. None when the process itself no longer exists, or one of them may not be looked into.
    """
    try:
        root = psutil.Process(pid)
        whole, children = _read(root), root.children(recursive=True)
        times = root.cpu_times()
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return None
    cpu_s, count = whole.cpu_s + times.children_user + times.children_system, 1
    for child in children:
        try:
            part = _read(child)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue  # it ended meanwhile
        except psutil.AccessDenied:
            return None  # without it the sum would be too small
        count += 1
        cpu_s += part.cpu_s
        whole = replace(
            whole,
            rss_bytes=whole.rss_bytes + part.rss_bytes,
            open_files=(whole.open_files or 0) + (part.open_files or 0),
            threads=(whole.threads or 0) + (part.threads or 0),
            connections=(whole.connections or 0) + (part.connections or 0),
        )
    return replace(whole, cpu_s=cpu_s, processes=count)


def listens(pid: int, port: int) -> bool:
    """Whether a process, or one of its descendants, listens on a TCP port."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return False
    return any(_listens(process, port) for process in tree)


def listener_on(port: int) -> int | None:
    """The process that listens on a TCP port; None when there is none, or it cannot be seen."""
    return next((process.pid for process in psutil.process_iter() if _listens(process, port)), None)


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections("tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)


def is_alive(pid: int) -> bool:
    """Whether the process exists and has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _read(process: psutil.Process) -> Resources:
    with process.oneshot():
        if process.status() == psutil.STATUS_ZOMBIE:  # it has ended, and would be read as one that uses nothing
            raise psutil.ZombieProcess(process.pid)
        cpu = process.cpu_times()
        return Resources(
            pid=process.pid,
            created_at_s=process.create_time(),
            rss_bytes=process.memory_info().rss,
            cpu_s=cpu.user + cpu.system,
            open_files=process.num_fds(),
            threads=process.num_threads(),
            connections=len(process.net_connections()),
        )
