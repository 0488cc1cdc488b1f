from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evidence.ledger import Row
from evidence.record import Attachment, Record, Subject
from evidence.results import DecisionResult, DocumentationResult, RemovedRecord
from evidence.retention import KEPT_KINDS, plan_removal, was_removed

CUTOFF = datetime(2026, 1, 1, tzinfo=UTC)
DECISION = DecisionResult(
    requested_level="canary",
    authorized_level=None,
    decision="HOLD",
    claims_required=1,
    claims_proven=0,
    plan_digest="p",
    evidence_root="e",
    report_digest=None,
)


def record(number: int, days_old: float, attachments: str = "", *, decision: bool = False) -> Record:
    time = CUTOFF - timedelta(days=days_old)
    return Record(
        record_id=f"{number:064x}",
        sequence=number,
        subject=Subject("shop", "2.0", "dirHash1:" + "a" * 64),
        collector="documents",
        inputs={},
        result=DECISION if decision else DocumentationResult(documents=1, complete=1, lines=1, details=[]),
        outcome="passed",
        summary="",
        started_at=time,
        finished_at=time,
        parameters={},
        tools={},
        left_out=(),
        attachments=tuple(Attachment(name, "text/plain", name, 1) for name in attachments),
        signed_by="",
    )


records = st.lists(st.tuples(st.floats(-10, 10), st.text("abcdef", max_size=3), st.booleans()), max_size=12).map(
    lambda rows: [record(n, days, names, decision=kept) for n, (days, names, kept) in enumerate(rows, 1)]
)


@given(records, st.sets(st.integers(1, 12)))
def test_exactly_the_old_and_the_named_go_and_decisions_never(records: list[Record], numbers: set[int]) -> None:
    named = {f"{number:064x}" for number in numbers}
    removal = plan_removal(records, cutoff=CUTOFF, named=named)
    may_go = [r for r in records if r.kind not in KEPT_KINDS]
    assert [x.record.record_id for x in removal.unfinished] == [r.record_id for r in may_go if r.record_id in named]
    assert [x.record.record_id for x in removal.new] == [
        r.record_id for r in may_go if r.record_id not in named and r.finished_at < CUTOFF
    ]


@given(records, st.sets(st.integers(1, 12)))
def test_an_attachment_goes_once_with_its_last_record_and_never_while_another_stays(
    records: list[Record], numbers: set[int]
) -> None:
    removal = plan_removal(records, cutoff=CUTOFF, named={f"{number:064x}" for number in numbers})
    going = [*removal.unfinished, *removal.new]
    left = {r.record_id: {a.sha256 for a in r.attachments} for r in records}
    gone: list[str] = []
    for item in going:
        del left[item.record.record_id]
        assert not set(item.attachments) & {digest for digests in left.values() for digest in digests}
        gone += item.attachments
    assert len(gone) == len(set(gone))
    assert set(gone) | {d for ds in left.values() for d in ds} == {a.sha256 for r in records for a in r.attachments}


def test_a_record_that_ended_at_the_cutoff_stays() -> None:
    assert plan_removal([record(1, 0)], cutoff=CUTOFF, named=()).new == []


def test_a_row_was_removed_only_as_the_record_that_it_says_it_was() -> None:
    row = Row(1, "1" * 64, "0" * 64, "2" * 64, "dirHash1:a", "documents", "documentation", None)
    removed = RemovedRecord(
        record_id=row.record_id, subject=row.subject, collector=row.collector, kind=row.kind, finished_at=CUTOFF
    )
    assert was_removed(row, {row.record_id: removed})
    assert not was_removed(row, {})
    for change in ({"subject": "dirHash1:b"}, {"collector": "other"}, {"kind": "load"}):
        assert not was_removed(replace(row, **change), {row.record_id: removed})
    decision = removed.model_copy(update={"kind": "decision"})
    assert not was_removed(replace(row, kind="decision"), {row.record_id: decision})
