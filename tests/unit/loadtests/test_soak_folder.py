"""What a soak's folder holds, read once and always alike."""

import json
from dataclasses import replace

import pytest

from loadtests import soak_folder
from loadtests.soak_folder import JOURNAL, generator_name, read_material, windows_of
from loadtests.soak_journal import append_entry
from loadtests.soak_night import read_night
from tests.unit.loadtests.soaks import WALL_S, Machine


@pytest.fixture
def folder(tmp_path):
    """Two segments of target and control; a window of the first segment was damaged."""
    machine = Machine()
    machine.begin_runner()
    for _ in range(2):
        machine.load(6)
        machine.pass_by(9)
    names = {"started_at_s": "started_at", "finished_at_s": "finished_at"}
    for segment in machine.segments:
        lines = [json.dumps({names.get(k, k): v for k, v in vars(w).items()}) for w in segment.windows]
        for control in (False, True):
            damaged = ["\\0\\0", *lines] if segment.number == 1 and not control else lines
            name = generator_name(segment.number, control=control)
            (tmp_path / f"{name}.windows.jsonl").write_text("".join(line + "\n" for line in damaged))
    for entry in machine.entries:
        append_entry(tmp_path / JOURNAL, entry.clocks, entry.event, **entry.detail)
    return tmp_path


def test_a_folder_reads_as_what_is_attached_of_it(folder):
    material = read_material(folder)
    assert material.damaged == 1
    night = read_night(material)
    assert night == read_night(replace(material, read=None))
    assert [p.segment for p in night.placed] == [1] * 6 + [2] * 6 == [p.segment for p in night.control_placed]
    assert night.began_s == WALL_S
    assert [w.sequence for w in windows_of(folder, 2)] == list(range(6))


def test_a_window_is_read_once(folder, monkeypatch):
    read = []

    def parse(content, name):
        read.append(name)
        return original(content, name)

    original = soak_folder.parse_windows
    monkeypatch.setattr(soak_folder, "parse_windows", parse)
    monkeypatch.setattr(soak_folder, "parse_numbered_windows", None)
    read_night(read_material(folder))
    assert len(read) == 6 + 6 + 1 + 6 + 6
