from pathlib import Path

from telemetry.structured_logs import read_log


def test_a_line_counts_as_parsed_only_as_an_object_with_every_field(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        '{"level": "info", "trace_id": "a"}\n\n{"level": "info"}\nTraceback\n["level", "trace_id"]\n{"level"'
    )
    lines = read_log(log, ["level", "trace_id"])
    assert (lines.lines, lines.parsed) == (4, 1)
    assert lines.bad == ('{"level": "info"}', "Traceback", '["level", "trace_id"]')


def test_an_empty_log_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    assert read_log(tmp_path / "log", []).lines == 0
