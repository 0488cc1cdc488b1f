"""Runs one command for as long as its owner lives.

The owner holds the write end of this process's standard input. When the owner closes it, or dies in any way
(kill -9 included), the command's whole process group is terminated, and killed when it has not ended in time.
Standard library only, started with ``python -I -S``: it must come up fast and import nothing of the project.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def _die_with_guard() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(pgid: int, number: int) -> None:
    try:
        os.killpg(pgid, number)
    except ProcessLookupError:
        return


def main() -> None:
    """``guard.py PID_FD GRACE_S COMMAND…``: write the command's pid to PID_FD, then guard it."""
    pid_fd, grace_s, argv = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        command = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_guard if sys.platform == "linux" else None,
        )
    except OSError as error:
        os.write(pid_fd, f"error {error}\n".encode())
        os._exit(127)
    os.write(pid_fd, f"{command.pid}\n".encode())
    os.close(pid_fd)

    def exit_with_command() -> None:
        code = command.wait()
        _signal_group(command.pid, signal.SIGKILL)
        os._exit(code if code >= 0 else 128 - code)

    threading.Thread(target=exit_with_command, daemon=True).start()
    while os.read(0, 4096):
        pass
    _signal_group(command.pid, signal.SIGTERM)
    try:
        command.wait(grace_s)
    except subprocess.TimeoutExpired:
        _signal_group(command.pid, signal.SIGKILL)
    threading.Event().wait()  # the other thread ends this process with the command's exit code


if __name__ == "__main__":
    main()
