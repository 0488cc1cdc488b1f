"""Which recorded soaks count as nights of a new one, and why others do not. No Prefect here."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from decision.claims import Wanted, usable
from decision.collect import SoakCollect
from evidence.ledger import Row
from evidence.record import Record
from evidence.soak_result import SoakResult
from evidence.store import EvidenceStore
from flows.measuring import Step
from loadtests.soak_folder import WINDOWS, Material
from loadtests.soak_night import read_night
from loadtests.soak_nights import OWN, EarlierNight, EarlierNights, UncountedNight, material_of
from processes.errors import CollectError, IntegrityError, UnrecordedError, first_line


def earlier_nights(step: Step[SoakCollect], store: EvidenceStore) -> EarlierNights:
    """The soaks of this collector, subject and these inputs that the ledger holds, oldest first, each night once.

    Of a record that added up nights itself, its own night alone is taken: the others have records of their own. What is
    older than any claim allows is as stale as it would be alone.
    """
    wanted = Wanted(subject=step.subject.digest, inputs=step.inputs)
    oldest, control = _oldest(step, datetime.now(UTC)), step.collect.beside is not None
    verified = {record.record_id: record for record in store.records(step.subject.digest)[0]}
    removed, seen = store.removed(), set[str | None]()
    counted: list[tuple[Record, EarlierNight]] = []
    uncounted: list[UncountedNight] = []
    for row in store.ledger.rows(subject=step.subject.digest, kind="soak"):
        record = verified.get(row.record_id)
        if row.collector != step.name or (record is not None and usable(record, wanted) is not None):
            continue
        if record is None:  # its inputs are not known any more: it may have been of others
            uncounted.append(UncountedNight(row.record_id, _why_not_read(row, removed), failed=False))
        elif record.finished_at < oldest:
            uncounted.append(UncountedNight(record.record_id, "stale: older than any claim allows", failed=False))
        elif isinstance(record.result, SoakResult) and own_windows(record) not in seen:
            seen.add(own_windows(record))
            try:
                counted.append((record, EarlierNight(record.record_id, _own_material(record, store, control=control))))
            except (CollectError, IntegrityError, UnrecordedError) as error:
                why = f"not to be read: {first_line(error)}"
                uncounted.append(UncountedNight(record.record_id, why, failed=record.outcome == "failed"))
    return EarlierNights([night for _, night in sorted(counted, key=lambda entry: entry[0].finished_at)], uncounted)


def own_windows(record: Record) -> str | None:
    """The digest of the windows of a record's own night; None for one that has none."""
    return next((a.sha256 for a in record.attachments if a.name == WINDOWS), None)


def _own_material(record: Record, store: EvidenceStore, *, control: bool) -> Material:
    """Raises IntegrityError, UnrecordedError and CollectError when the night cannot be computed again."""
    own = {a.name: store.attachments.get(a.sha256) for a in record.attachments if a.name in OWN}
    material = material_of(own, control=control)
    if not read_night(material).placed:
        raise CollectError("no window of it counts")
    return material


def _oldest(step: Step[SoakCollect], now: datetime) -> datetime:
    """When a night must have ended at the earliest to count now."""
    ages = [claim.max_age for claim in step.plan.claims if claim.needs == step.name]
    return now - timedelta(seconds=max(ages)) if ages else datetime.min.replace(tzinfo=UTC)


def _why_not_read(row: Row, removed: Collection[str]) -> str:
    return "retention removed it" if row.record_id in removed else "its record does not verify"
