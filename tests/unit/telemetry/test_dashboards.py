import json
from pathlib import Path

import pytest

from processes.errors import InputError
from telemetry.dashboards import read_panels


def _panels(tmp_path: Path, panels: object) -> list[tuple[str, tuple[str, ...]]]:
    path = tmp_path / "board.json"
    path.write_text(json.dumps({"title": "Board", "panels": panels}))
    return [(panel.title, panel.queries) for panel in read_panels(path, rate_window="10s")]


def test_panels_inside_rows_count_and_texts_do_not(tmp_path: Path) -> None:
    inner = {"type": "stat", "title": "Up", "targets": [{"expr": "up"}]}
    found = _panels(tmp_path, [{"type": "row", "panels": [inner]}, {"type": "text", "title": "Notes"}])
    assert found == [("Up", ("up",))]


def test_variables_are_filled(tmp_path: Path) -> None:
    expr = 'rate(a{target=~"$target",b=~"${b:regex}"}[$__rate_interval])'
    found = _panels(tmp_path, [{"type": "stat", "title": "A", "targets": [{"expr": expr}]}])
    assert found == [("A", ('rate(a{target=~".*",b=~".*"}[10s])',))]


def test_a_panel_without_a_query_is_still_a_panel(tmp_path: Path) -> None:
    assert _panels(tmp_path, [{"type": "stat", "title": "A"}]) == [("A", ())]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"panels": [1]}', '{"panels": [{"type": "stat", "targets": [{}]}]}'])
def test_a_file_that_is_no_dashboard_is_an_input_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "board.json").write_text(text)
    with pytest.raises(InputError):
        read_panels(tmp_path / "board.json", rate_window="10s")
