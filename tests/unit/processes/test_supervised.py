import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from processes.errors import ProcessError
from processes.supervised import start, supervised, wait_until_ready
from processes.wait import wait_for


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_process_is_stopped_with_its_children_at_the_end_of_the_block(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with supervised("shell", ["sh", "-c", "sleep 600 & echo $!; wait"], log=log) as process:
        wait_for(lambda: log.exists() and log.read_text().endswith("\n"), what="child's pid", timeout_s=30)
        child = int(log.read_text())
        assert not gone(child)
    wait_for(lambda: gone(process.pid) and gone(child), what="both gone", timeout_s=30)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); input()"]
    log = tmp_path / "log"
    process = start("stubborn", ["sh", "-c", 'exec "$@" < /dev/zero', "sh", *command], log=log, grace_s=0.2)
    wait_for(lambda: log.exists() and "1" in log.read_text(), what="ready", timeout_s=30)
    assert process.stop() == 128 + signal.SIGKILL


def test_a_process_dies_with_its_owner_even_when_that_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import pathlib, time; from processes.supervised import start\n"
            f"p = start('x', ['sleep', '600'], log=pathlib.Path({str(tmp_path / 'log')!r}))\n"
            "print(p.pid, flush=True); time.sleep(600)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    wait_for(lambda: gone(pid), what="orphan gone", timeout_s=30)


def test_the_exit_code_of_a_process_is_kept(tmp_path: Path) -> None:
    assert start("three", ["sh", "-c", "exit 3"], log=tmp_path / "log").wait(30) == 3


def test_a_command_that_does_not_exist_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="no-such-command"):
        start("nothing", ["no-such-command"], log=tmp_path / "log")


def test_a_process_that_ends_before_it_is_ready_shows_its_last_words(tmp_path: Path) -> None:
    with (
        supervised("short", ["sh", "-c", "echo out of luck; exit 1"], log=tmp_path / "log") as process,
        pytest.raises(ProcessError, match="out of luck"),
    ):
        wait_until_ready(process, "http://127.0.0.1:9/", timeout_s=30)
