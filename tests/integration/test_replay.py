"""``gonogo verify --replay`` of ledgers and bundles."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cli.main import run
from collectors.documentation import check_documents
from decision.collect import DocumentFile
from decision.inputs import inputs_of, subject_of
from decision.plan_file import read_plan
from evidence.measurement import Measurement
from evidence.record import Record
from evidence.results import DocumentationResult
from evidence.store import EvidenceStore
from tests.e2e.small_release import make_release

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "shop")


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run gonogo; returns exit code and output."""

    def command(*words: str) -> tuple[int, str]:
        code = run([*words, "--home", str(tmp_path / "home")])
        return code, capsys.readouterr().out

    return command


def documents(release: Path) -> Measurement:
    return check_documents([DocumentFile(path=Path("README.md"), sections=("Usage",))], base=release)


def with_other_lines(measurement: Measurement) -> Measurement:
    """The same raw material with one line more than it has."""
    assert isinstance(measurement.result, DocumentationResult)
    other = measurement.result.model_copy(update={"lines": measurement.result.lines + 1})
    return replace(measurement, result=other)


def record(store: EvidenceStore, release: Path, measurement: Measurement) -> Record:
    plan_file = read_plan(release / "plan.yaml")
    return store.record(subject_of(plan_file), "documents", inputs_of(plan_file, "documents"), measurement)


def export(say: Say, release: Path) -> str:
    bundle = str(release / "bundle.tar")
    assert say("evidence", "export", str(release / "plan.yaml"), "--level", "rehearsal", "--output", bundle)[0] == 0
    return bundle


def test_what_was_measured_is_computed_again(store: EvidenceStore, release: Path, say: Say) -> None:
    record(store, release, documents(release))
    code, told = say("verify", "--ledger", "--replay")
    assert code == 0
    assert "replayed: 1 record computed again from the raw material, the same to the last bit: 1 documentation" in told
    assert "not replayed" not in told
    assert "replayed" not in say("verify", "--ledger")[1]
    code, told = say("verify", export(say, release), "--replay")
    assert code == 0
    assert "the same to the last bit: 1 documentation" in told


def test_a_signed_number_that_does_not_follow_is_named(store: EvidenceStore, release: Path, say: Say) -> None:
    record(store, release, documents(release))
    wrong = record(store, release, with_other_lines(documents(release)))
    assert say("verify", "--ledger")[0] == 0
    code, told = say("verify", "--ledger", "--replay")
    assert code == 20
    assert told == (
        f"NOT INTACT: record 2 ({wrong.record_id[:12]}, documents, documentation): lines is 6, computed again it is 5\n"
    )
    bundle = export(say, release)
    assert say("verify", bundle)[0] == 0
    code, told = say("verify", bundle, "--replay")
    assert code == 20
    assert "lines is 6, computed again it is 5" in told


def test_the_same_as_json(store: EvidenceStore, release: Path, say: Say) -> None:
    record(store, release, documents(release))
    for source in (["--ledger"], [export(say, release)]):
        code, told = say("verify", *source, "--replay", "--json")
        facts = json.loads(told)
        assert (code, facts["intact"], facts["problem"]) == (0, True, None)
        assert (facts["replayed"], facts["not_replayed"], facts["replayed_kinds"]) == (1, 0, {"documentation": 1})
    record(store, release, with_other_lines(documents(release)))
    code, told = say("verify", "--ledger", "--replay", "--json")
    facts = json.loads(told)
    assert (code, facts["intact"]) == (20, False)
    assert "lines is 6" in facts["problem"]


def test_records_of_an_older_version_are_named_and_are_no_error(
    store: EvidenceStore, records: list[Record], say: Say
) -> None:
    code, told = say("verify", "--ledger", "--replay")
    assert code == 0
    assert "replayed: no record" in told
    assert "not replayed: 3 documentation records: made by a version that did not record checked-documents.json" in told


def test_what_retention_removed_is_not_replayed(store: EvidenceStore, records: list[Record], say: Say) -> None:
    assert say("evidence", "prune", "--older-than", "0s", "--reason", "old")[0] == 0
    code, told = say("verify", "--ledger", "--replay")
    assert code == 0
    assert "not replayed: 3 documentation records: retention removed their content" in told
    assert "not replayed: 1 retention record: it names what was removed: nothing is computed" in told
