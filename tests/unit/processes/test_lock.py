import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processes.lock import HeldError, holder_of, holding
from processes.wait import wait_for

HOLD = """
import sys, time
from pathlib import Path
from processes.lock import holding
with holding(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_held_lock_names_its_holder(tmp_path, other):
    with (
        pytest.raises(HeldError, match=f"it is held by process {other.pid} since 20"),
        holding(tmp_path / "lock", "it"),
    ):
        pass
    assert holder_of(tmp_path / "lock").pid == other.pid


def test_a_killed_holder_holds_nothing(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    wait_for(lambda: holder_of(tmp_path / "lock") is None, what="the lock freed", timeout_s=10)
    with holding(tmp_path / "lock", "it"):
        assert holder_of(tmp_path / "lock").pid == os.getpid()


def test_a_lock_that_nobody_made_is_held_by_nobody(tmp_path):
    assert holder_of(tmp_path / "lock") is None


def test_the_folder_may_be_removed_by_who_holds_its_lock(tmp_path):
    folder = tmp_path / "folder"
    for _ in range(2):
        folder.mkdir()
        with holding(folder / "lock", "it"):
            shutil.rmtree(folder)
    assert holder_of(folder / "lock") is None
