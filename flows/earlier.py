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
    own_seen = False
    for row in store.ledger.newest({metric.collector for metric in tracked(plan)}):
        if row.subject == subject.digest:
            if not own_seen:
                found.clear()  # rows come newest first: these were measured later than anything of this subject
            own_seen = True
            continue
        if row.envelope is None:
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
