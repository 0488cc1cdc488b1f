import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processes.lines import append_line, complete_lines


@settings(deadline=None)
@given(torn=st.binary(max_size=30).filter(lambda content: b"\n" not in content))
def test_what_is_torn_is_cut_off_before_the_next_line(tmp_path_factory, torn):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    append_line(path, {"n": 1})
    with path.open("ab") as file:
        file.write(torn)
    append_line(path, {"n": 2})
    assert [json.loads(line) for line in complete_lines(path).splitlines()] == [{"n": 1}, {"n": 2}]


def test_a_file_without_a_whole_line_has_none(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    assert complete_lines(path) == b""
    path.write_text('{"torn"')
    assert complete_lines(path) == b""


def test_what_is_no_number_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="JSON"):
        append_line(tmp_path / "a.jsonl", {"n": float("nan")})


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
def test_a_full_disk_is_an_error():
    with pytest.raises(OSError, match="space"):
        append_line(Path("/dev/full"), {"n": 1})
