"""Evidence of earlier subjects of the same name, for the report's trends. No Prefect here; no verdict rests on it."""

from decision.plan import Plan
from evidence.record import Record, Subject
from evidence.store import EvidenceStore
from processes.errors import IntegrityError
from reports.sections.trends import SUBJECTS, tracked


def earlier_records(plan: Plan, subject: Subject, store: EvidenceStore) -> tuple[Record, ...]:
    """The newest record of each tracked collector of the subjects before this one, as many as a report shows.

    Before: what was measured after the last measurement of this subject is no past of it, when an old report is made
    again. A record that does not verify, or whose content retention removed, shows nothing and is left out.
    """
    found: dict[str, list[Record]] = {}
    collectors = {metric.collector for metric in tracked(plan)}
    own = (row.sequence for row in store.ledger.rows(subject=subject.digest) if row.collector in collectors)
    last = max(own, default=None)
    for row in store.ledger.newest(collectors):
        if row.subject == subject.digest or row.envelope is None or (last is not None and row.sequence > last):
            continue
        if row.subject not in found and len(found) == SUBJECTS - 1:
            continue
        try:
            record = store.read(row)
        except IntegrityError:
            continue
        if record.subject.name == subject.name:
            found.setdefault(row.subject, []).append(record)
    return tuple(sorted((r for records in found.values() for r in records), key=lambda r: r.sequence))
