import os

import pytest

from rollouts.open_running import inherited_listener
from rollouts.request_log import format_line, parse_line


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
