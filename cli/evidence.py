"""``gonogo evidence``: look into the ledger, export what is behind a decision, and remove what is too old to keep."""

import json as jsonlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_json, print_text
from decision.levels import Level
from decision.plan_file import read_plan
from decision.quantities import parse_duration_s
from evidence.ledger import Row
from evidence.prune import Pruned
from evidence.prune import prune as prune_ledger
from evidence.record import Record
from evidence.results import RemovedRecord
from evidence.retention import was_removed
from evidence.store import EvidenceStore, open_existing_store, open_store
from flows.authorization import conclude
from flows.bundling import export_bundle
from flows.ingesting import add_results
from flows.reporting import run_facts
from processes.errors import IntegrityError, UsageError

app = App(name="evidence", help="List, show, add and export the records of the ledger, and remove old ones.")


@app.command(name="list")
def list_records(
    *,
    kind: Annotated[str | None, Parameter(help="Only this kind of evidence.")] = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """List the records of the ledger, oldest first. Exit code 20 when a record does not verify."""
    store = open_existing_store(home.resolve())
    removed = cache(store.removed)
    listed, invalid = [], False
    for row in store.ledger.rows(kind=kind):
        line, valid = _line(store, row, removed)
        listed.append(line)
        invalid |= not valid
    if json:
        print_json(listed)
    else:
        for line in listed:
            print_text(
                f"{line['sequence']:>5}  {line['record_id'][:12]}  {line['kind']:<13}  {line['collector']:<24}  "
                f"{line['finished_at']:<17}  {line['outcome']}: {line['summary']}"
            )
    return 20 if invalid else 0


def _line(
    store: EvidenceStore, row: Row, removed: Callable[[], Mapping[str, RemovedRecord]]
) -> tuple[dict[str, Any], bool]:
    line: dict[str, Any] = {
        "sequence": row.sequence,
        "record_id": row.record_id,
        "kind": row.kind,
        "collector": row.collector,
    }
    if row.envelope is None and was_removed(row, removed()):
        finished = _minute(removed()[row.record_id].finished_at)
        return line | {"finished_at": finished, "outcome": "removed", "summary": "by retention"}, True
    try:
        record = store.read(row)
    except IntegrityError as error:
        return line | {"finished_at": "", "outcome": "INVALID", "summary": str(error)}, False
    return line | {
        "finished_at": _minute(record.finished_at),
        "outcome": record.outcome,
        "summary": record.summary,
    }, True


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}Z"


@app.command
def show(record: str, *, home: Home = DEFAULT_HOME, json: Json = False) -> int:
    """Show one record, verified.

    Parameters
    ----------
    record
        The record's id, the beginning of it, or its number in the ledger.
    """
    store = open_existing_store(home.resolve())
    rows = store.ledger.find(record)
    if len(rows) != 1:
        found = "several records begin with it" if rows else "no such record"
        raise UsageError(f"{record}: {found} (gonogo evidence list)")
    row = rows[0]
    if row.envelope is None and was_removed(row, store.removed()):
        raise UsageError(f"{record}: retention removed its content; its row {row.sequence} stays in the chain")
    if row.envelope is None:
        raise IntegrityError(f"record {row.sequence} ({row.record_id[:12]}): its content is missing")
    if json:
        print_json(jsonlib.loads(row.envelope))
        return 0
    print_text(_text(store.read(row), row))
    return 0


def _text(record: Record, row: Row) -> str:
    lines = [
        f"record       {record.record_id}",
        f"sequence     {row.sequence}, after {row.previous[:12]}",
        f"kind         {record.kind}, collected as {record.collector}",
        f"subject      {record.subject.name} {record.subject.version} {record.subject.digest}",
        f"commit       {record.subject.commit or 'not known'}",
        f"window       {record.started_at:%Y-%m-%d %H:%M:%S} to {record.finished_at:%Y-%m-%d %H:%M:%S} UTC",
        f"outcome      {record.outcome}: {record.summary}",
        f"signed by    {record.signed_by}",
    ]
    lines += [f"input        {name}  {digest}" for name, digest in sorted(record.inputs.items())]
    lines += [f"parameter    {name} = {value}" for name, value in sorted(record.parameters.items())]
    lines += [f"tool         {name} {version}" for name, version in sorted(record.tools.items())]
    lines += [f"left out     {x.what}: {x.count} ({x.why})" for x in record.left_out]
    lines += [f"attachment   {a.name} ({a.media_type}, {a.size_bytes} B) {a.sha256}" for a in record.attachments]

    result = record.result.model_dump(mode="json")
    return "\n".join([*lines, "", jsonlib.dumps(result, indent=2, ensure_ascii=False)])


@app.command
def prune(*, older_than: str, reason: str, home: Home = DEFAULT_HOME, json: Json = False) -> int:
    """Remove the content of old records, and attachments that nothing else names. Their rows stay: the chain holds.

    What is removed is signed into the ledger first. Decisions and acts of people are never removed. Interrupted, the
    same command finishes the job.

    Parameters
    ----------
    older_than
        An age such as 400d: records that ended before that go.
    reason
        Why, in a few words; it is signed with the removal.
    """
    try:
        age_s = parse_duration_s(older_than)
    except ValueError as error:
        raise UsageError(f"--older-than {older_than}: {error}") from error
    if not reason.strip():
        raise UsageError("--reason: say why the records are removed")
    cutoff = datetime.now(UTC) - timedelta(seconds=age_s)
    pruned = prune_ledger(open_existing_store(home.resolve()), cutoff=cutoff, reason=reason.strip())
    if json:
        print_json(
            {
                "cutoff": cutoff.isoformat(),
                "removed": [record.model_dump(mode="json") for record in pruned.records],
                "attachments_removed": pruned.attachments,
                "retention_records": pruned.recorded,
            }
        )
    else:
        print_text(_pruned_text(pruned, cutoff))
    return 0


def _pruned_text(pruned: Pruned, cutoff: datetime) -> str:
    if not pruned.records:
        return f"nothing to remove: no record ended before {_minute(cutoff)}"
    lines = [
        f"{record.record_id[:12]}  {record.kind:<13}  {record.collector:<24}  {_minute(record.finished_at)}"
        for record in pruned.records
    ]
    lines.append(f"removed: content of {len(pruned.records)} records, {pruned.attachments} attachments")
    if pruned.finished:
        lines.append(f"{pruned.finished} of them had been recorded by a removal that was interrupted")
    lines += [f"recorded as {record_id[:12]}" for record_id in pruned.recorded]
    return "\n".join(lines)


@app.command
def add(
    plan: Path,
    *files: Path,
    collector: Annotated[str, Parameter(help="The collector of the plan: a test-suite without run.")],
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Add test results of another system (JUnit XML, CTRF) as evidence.

    Parameters
    ----------
    plan
        The release plan.
    files
        The results.
    """
    record = add_results(read_plan(plan), open_store(home.resolve()), collector, files)
    if json:
        print_json({"record_id": record.record_id, "outcome": record.outcome, **record.result.model_dump(mode="json")})
    else:
        print_text(f"{record.outcome}: {record.summary}; record {record.record_id}")
    return 0


@app.command
def export(
    plan: Path, *, level: Level = "full", output: Path | None = None, home: Home = DEFAULT_HOME, json: Json = False
) -> int:
    """Write all evidence of a release, its plan, decision and report into one file for gonogo verify.

    Parameters
    ----------
    plan
        The release plan.
    level
        The level that is decided.
    output
        The file (default: RELEASE-LEVEL.tar in the current folder).
    """
    plan_file, home = read_plan(plan), home.resolve()
    store = open_existing_store(home)
    conclusion = conclude(plan_file, store, level=level)
    path = output or Path(f"{plan_file.plan.release}-{level}.tar")
    export_bundle(plan_file, store, conclusion, run_facts(conclusion, store, home, began_at=None), path)
    facts = {"bundle": str(path), "records": len(conclusion.records), "decision": conclusion.decision.decision}
    if json:
        print_json(facts)
    else:
        print_text(f"{path}: {facts['records']} records, {facts['decision']} at level {level} (gonogo verify {path})")
    return 0
