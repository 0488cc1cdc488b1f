import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollouts.open_running import inherited_listener
from rollouts.request_log import RequestLog, format_line, parse_line


@pytest.mark.parametrize(("status", "end", "counts_as"), [
    ("200", "--", 200),
    ("200", "SD", 0),   # the version broke its answer off
    ("200", "sD", 0),   # or fell silent within it
    ("200", "CD", 200),  # the user left within the answer
    ("-1", "CH", 400),  # or within the request
    ("504", "sH", 504),
    ("-1", "SH", 0),
])  # fmt: skip
def test_who_broke_a_request_off_decides_how_it_counts(status: str, end: str, counts_as: int) -> None:
    request = parse_line(f"gonogo 12.500 0 250 30 {status} canary canary abc {end}".encode())
    assert request is not None
    assert (request.status, request.at_s, request.latency_ms) == (counts_as, 12.75, 30)


def test_a_line_without_an_end_counts_as_it_says_and_other_lines_do_not() -> None:
    request = parse_line(format_line(1.5, 2.25, 503, "canary", "canary", "abc"))
    assert request is not None
    assert (request.status, request.latency_ms) == (503, 2.25)
    for line in (
        b"a warning",
        b"gonogo 1 0 0 1 200 users stable abc --",
        b"gonogo 1 0 0 1 200 stable stable abc -- more",
        b"gonogo 17gonogo 1 0 0 1 200 stable stable abc",
        b"gonogo gonogo 0 0 1 200 stable stable abc",
        b"gonogo 1 0 0 1 2x0 stable stable abc",
        b"gonogo nan 0 0 1 200 stable stable abc",
        b"gonogo 1 0 0 inf 200 stable stable abc",
    ):
        assert parse_line(line) is None


def test_only_a_socket_that_was_passed_to_this_very_process_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inherited_listener() is None
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert inherited_listener() == 3
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    assert inherited_listener() == 3
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    assert inherited_listener() is None


def test_a_connection_that_was_upgraded_counts_by_its_one_answer_however_it_ends() -> None:
    for end in (b"SD", b"sD", b"cD", b"--"):
        sample = parse_line(b"gonogo 17.5 0 0 600000 101 stable stable abc " + end + b" 12")
        assert sample is not None
        assert (sample.status, sample.latency_ms, sample.is_error) == (101, 12.0, False)


def test_what_the_router_itself_ran_out_of_is_no_request_of_a_version() -> None:
    assert parse_line(b"gonogo 1 0 0 1 503 canary canary abc RC -1") is None
    assert parse_line(b"gonogo 1 0 0 1 500 canary canary abc IH -1") is None


def test_a_log_that_was_begun_anew_and_has_grown_again_is_read_from_its_start(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "requests.log")
    log.path.write_bytes(format_line(1.0, 2.0, 200, "stable", "stable", "longer than the others"))
    cursor = log.since(0)[1]
    log.path.write_bytes(format_line(1.0, 2.0, 200, "stable", "stable", "a") * 3)
    assert log.path.stat().st_size > cursor
    requests, cursor = log.since(cursor)
    assert len(requests) == 3
    assert log.since(cursor) == ([], cursor)


def test_the_end_of_a_log_is_after_its_last_whole_line(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "requests.log")
    assert log.end() == 0
    line = format_line(1.0, 2.0, 200, "stable", "stable", "a")
    log.path.write_bytes(line * 200 + line[:20])
    assert log.end() == 200 * len(line)


def test_a_disk_that_was_full_costs_its_own_lines_and_no_others(tmp_path: Path) -> None:
    """A file may grow to 100 bytes: the second line of 60 is torn, the third is lost, and then there is room again."""
    script = (
        "import os, resource, signal, sys\nfrom rollouts.request_log import LogWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log = LogWriter(os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT))\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))\n"
        "for name in 'abc':\n    log.write(name.encode() * 59 + b'\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "for name in 'de':\n    log.write(name.encode() * 59 + b'\\n')\n"
    )
    path = tmp_path / "requests.log"
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, cwd=Path(__file__).parents[3], capture_output=True
    )
    assert path.read_text().splitlines() == [
        "a" * 59, "b" * 40, "lost 2 lines: there was no room for them", "d" * 59, "e" * 59
    ]  # fmt: skip
    assert ran.stderr.count(b"the request log cannot be written") <= 1
