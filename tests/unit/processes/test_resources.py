import os
import subprocess
import sys

import pytest

from processes.resources import is_alive, read_resources, read_tree
from processes.wait import wait_for

PARENT = """
import os, sys, time
if os.fork() == 0:
    kept = bytearray(80_000_000)
    print("grown", flush=True)
    time.sleep(60)
os.wait()
"""


@pytest.fixture
def forking():
    """A process whose forked worker holds the memory."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"grown\n"
    yield process
    if is_alive(process.pid):
        os.killpg(process.pid, 9)
    process.wait()
    process.stdout.close()


def test_what_a_forked_worker_holds_is_seen(forking):
    alone, tree = read_resources(forking.pid), read_tree(forking.pid)
    assert tree.rss_bytes - alone.rss_bytes > 80_000_000
    assert (alone.processes, tree.processes) == (1, 2)
    assert (tree.pid, tree.created_at_s) == (alone.pid, alone.created_at_s)


def test_a_process_that_is_gone_is_no_reading(forking):
    os.killpg(forking.pid, 9)
    wait_for(lambda: not is_alive(forking.pid), what="the process gone", timeout_s=10)
    assert read_tree(forking.pid) is None
    assert read_resources(forking.pid) is None
