"""Which records of earlier subjects a report is given."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from decision.inputs import subject_of
from decision.plan_file import read_plan
from evidence.measurement import Measurement
from evidence.record import Record, Subject
from evidence.store import EvidenceStore, open_store
from flows.earlier import earlier_records
from reports.sections.trends import SUBJECTS
from tests.e2e.small_release import make_release
from tests.unit.decision.factories import suite_result

NOW = datetime.now(UTC)
_seconds = count(1)


@pytest.fixture
def plan_file(tmp_path):
    return read_plan(make_release(tmp_path / "shop") / "plan.yaml")


@pytest.fixture
def store(tmp_path):
    opened = open_store(tmp_path / "home")
    yield opened
    opened.ledger.close()


def record(store: EvidenceStore, digest: int, *, name: str = "shop", collector: str = "tests") -> Record:
    measured = Measurement(suite_result(), "passed", "tests", NOW - timedelta(seconds=next(_seconds)), NOW)
    return store.record(Subject(name, "1.0", f"dirHash1:{digest:064x}"), collector, {}, measured)


def found(plan_file, store) -> list[str]:
    return [r.record_id for r in earlier_records(plan_file.plan, subject_of(plan_file), store)]


def test_only_the_newest_of_each_subject_and_collector_is_given(plan_file, store):
    record(store, 1)
    newest = [record(store, 1), record(store, 2), record(store, 2, collector="contract")]
    assert found(plan_file, store) == [r.record_id for r in newest]


def test_this_subject_other_names_and_collectors_without_a_limit_are_not_given(plan_file, store):
    record(store, 1, name="bakery")
    record(store, 2, collector="decision")
    store.record(subject_of(plan_file), "tests", {}, Measurement(suite_result(), "passed", "tests", NOW, NOW))
    assert found(plan_file, store) == []


def test_no_more_subjects_are_given_than_a_report_shows_and_the_oldest_go_first(plan_file, store):
    records = [record(store, digest) for digest in range(SUBJECTS + 3)]
    assert found(plan_file, store) == [r.record_id for r in records[-(SUBJECTS - 1) :]]


def test_other_services_in_the_same_ledger_take_no_place(plan_file, store):
    own = record(store, 1)
    for digest in range(100, 100 + 2 * SUBJECTS):
        record(store, digest, name="bakery")
    assert found(plan_file, store) == [own.record_id]


def test_a_record_that_does_not_verify_shows_nothing(plan_file, store):
    record(store, 1)
    assert found(plan_file, replace(store, trusted=())) == []


def test_what_was_measured_after_this_subject_is_no_past_of_it(plan_file, store):
    before = record(store, 1)
    store.record(subject_of(plan_file), "tests", {}, Measurement(suite_result(), "passed", "tests", NOW, NOW))
    record(store, 2)
    assert found(plan_file, store) == [before.record_id]
