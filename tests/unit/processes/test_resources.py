import os
import subprocess
import sys

import psutil
import pytest

from processes.resources import is_alive, listener_on, listens, read_resources, read_tree
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


SERVER_IN_A_CHILD = """
import os, socket, time
listening = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    print(listening.getsockname()[1], flush=True)
    time.sleep(60)
listening.close()
os.wait()
"""


def test_a_server_is_found_in_a_child_and_not_elsewhere():
    argv = [sys.executable, "-c", SERVER_IN_A_CHILD]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        (child,) = psutil.Process(process.pid).children()
        wait_for(lambda: listener_on(port) == child.pid, what="the child alone listening", timeout_s=10)
        assert listens(process.pid, port)
        assert not listens(process.pid, 1)
        other = subprocess.Popen(["sleep", "60"])
        assert not listens(other.pid, port)
        other.kill()
        other.wait()
        os.killpg(process.pid, 9)
    assert not listens(process.pid, port)
