"""``gonogo evidence``: look into the ledger."""

import json as jsonlib
from typing import Annotated, Any

from cyclopts import App, Parameter

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_json, print_text
from evidence.ledger import Row
from evidence.record import Record
from evidence.store import EvidenceStore, open_existing_store
from processes.errors import IntegrityError, UsageError

app = App(name="evidence", help="List and show the records of the ledger.")


@app.command(name="list")
def list_records(
    *,
    kind: Annotated[str | None, Parameter(help="Only this kind of evidence.")] = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """List the records of the ledger, oldest first. Exit code 20 when a record does not verify."""
    store = open_existing_store(home.resolve())
    listed, invalid = [], False
    for row in store.ledger.rows():
        if kind is not None and row.kind != kind:
            continue
        line, valid = _line(store, row)
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


def _line(store: EvidenceStore, row: Row) -> tuple[dict[str, Any], bool]:
    line: dict[str, Any] = {
        "sequence": row.sequence,
        "record_id": row.record_id,
        "kind": row.kind,
        "collector": row.collector,
    }
    try:
        record = store.read(row)
    except IntegrityError as error:
        return line | {"finished_at": "", "outcome": "INVALID", "summary": str(error)}, False
    finished = f"{record.finished_at:%Y-%m-%d %H:%M}Z"
    return line | {"finished_at": finished, "outcome": record.outcome, "summary": record.summary}, True


@app.command
def show(record: str, *, home: Home = DEFAULT_HOME, json: Json = False) -> int:
    """Show one record, verified.

    Parameters
    ----------
    record
        The record's id, the beginning of it, or its number in the ledger.
    """
    store = open_existing_store(home.resolve())
    rows = [row for row in store.ledger.rows() if row.record_id.startswith(record) or str(row.sequence) == record]
    if len(rows) != 1:
        found = f"{len(rows)} records begin with it" if rows else "no such record"
        raise UsageError(f"{record}: {found} (gonogo evidence list)")
    row = rows[0]
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
