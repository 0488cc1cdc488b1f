"""Bundles: export what a decision was made from, and derive that decision again from nothing else. No Prefect here."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from decision.authority import CLOCK_SKEW
from decision.claims import Wanted
from decision.decide import Decision, decide
from decision.inputs import subject_of, wanted_of
from decision.levels import Level
from decision.plan_file import PlanFile, parse_plan
from decision.verification_summary import verification_summary
from evidence.allowed_signers import Signer, parse_allowed_signers
from evidence.bundle import COLLECTORS, Bundle, read_bundle, write_bundle
from evidence.dsse import canonical_json, sign, verify
from evidence.kinds import ACTS
from evidence.moment import Moment
from evidence.record import Record
from evidence.store import EvidenceStore, read_envelope, stated_kind
from flows.authorization import Conclusion
from flows.earlier import earlier_records
from processes.errors import IntegrityError, UsageError, first_line
from reports.render import render_html, render_json, render_text
from reports.run_facts import RunFacts
from reports.view import build_view

_RENDERED = {"report.txt": render_text, "report.html": render_html, "report.json": render_json}
_SUMMARY = "verification-summary.dsse.json"


@dataclass(frozen=True)
class BundleVerification:
    """A bundle that is whole, and whose decision was derived again."""

    bundle: Bundle
    decision: Decision
    records: tuple[Record, ...]
    attachments: Mapping[str, bytes]


def export_bundle(plan_file: PlanFile, store: EvidenceStore, conclusion: Conclusion, run: RunFacts, path: Path) -> None:
    """Write one bundle of everything behind a decision. Raises IntegrityError when a part is gone."""
    if not conclusion.records:
        raise UsageError("the ledger holds no record of this subject: there is nothing to export")
    subject, decision = subject_of(plan_file), conclusion.decision
    earlier = earlier_records(plan_file.plan, subject, store)
    folder_of = {r.record_id: "earlier" for r in earlier} | {r.record_id: "records" for r in conclusion.records}
    chain, envelopes = [], {}
    for row in store.ledger.rows():
        chain.append(row.record_id)
        if row.record_id in folder_of and row.envelope is not None:
            envelopes[f"{folder_of[row.record_id]}/{row.record_id}.json"] = row.envelope
    digests = {attachment.sha256 for record in conclusion.records for attachment in record.attachments}
    view = build_view(plan_file, decision, conclusion.records, run, earlier)
    files = {
        "plan.yaml": plan_file.path.read_bytes(),
        "chain.txt": "".join(f"{record_id}\n" for record_id in chain).encode(),
        "decision.json": canonical_json(decision.model_dump(mode="json")),
        COLLECTORS: store.collectors_file.read_bytes(),
        **{f"signers/{role}.allowed": content for role, content in _signer_files(plan_file).items()},
        **envelopes,
        **{f"attachments/{digest}": store.attachments.get(digest) for digest in sorted(digests)},
        **{name: render(view).encode() for name, render in _RENDERED.items()},
        _SUMMARY: sign(verification_summary(decision, subject, run.gonogo_version), store.key),
    }
    write_bundle(path, files, subject, _facts(plan_file, decision, run), store.key)


def verify_bundle(content: bytes, trusted: tuple[Signer, ...] | None = None) -> BundleVerification:
    """Hold every byte of a bundle against its manifest, and derive its decision and report again.

    ``trusted`` are the collectors whose evidence counts; None: those that the bundle names. Raises IntegrityError for
    the first thing that does not fit, and UsageError when that is the plan or a signers file inside.
    """
    bundle = read_bundle(content, trusted)
    try:
        facts = _Facts.model_validate(bundle.facts)
        plan_file = parse_plan(bundle.file("plan.yaml"), Path("plan.yaml"))
        signers = _signers(bundle, plan_file)
        records, earlier = _records(bundle, "records"), _records(bundle, "earlier")
    except (ValidationError, UnicodeDecodeError) as error:
        raise IntegrityError(f"it does not say what its decision was made from: {first_line(error)}") from error
    if not records:
        raise IntegrityError("it holds no record: nothing is shown by it")
    _one_subject(bundle, plan_file, facts, records, earlier)
    if not bundle.signer.valid_at(facts.decided_at) or facts.decided_at > datetime.now(UTC) + CLOCK_SKEW:
        raise IntegrityError("was signed at a time when its key was not allowed, or in the future")
    attachments = _attachments(bundle, records)
    decision = decide(
        plan_file.plan,
        records,
        {name: Wanted(wanted.subject, wanted.inputs) for name, wanted in facts.wanted.items()},
        level=facts.level,
        now=facts.decided_at,
        plan_digest=plan_file.digest,
        invalid_records=facts.invalid_records,
        signers=signers,
    )
    if canonical_json(decision.model_dump(mode="json")) != bundle.file("decision.json"):
        raise IntegrityError(f"its decision does not follow from its evidence, which gives {decision.decision}")
    run = RunFacts(**{**dict(facts.run), "made_now": frozenset(facts.run.made_now)})
    view = build_view(plan_file, decision, records, run, earlier)
    for name, render in _RENDERED.items():
        if render(view).encode() != bundle.file(name):
            raise IntegrityError(f"{name} is not what this version of gonogo says of its evidence")
    summary, _ = verify(bundle.file(_SUMMARY), [bundle.signer.key])
    if summary != verification_summary(decision, bundle.subject, run.gonogo_version):
        raise IntegrityError("its verification summary says something else than its decision")
    return BundleVerification(bundle, decision, records, attachments)


def _one_subject(
    bundle: Bundle, plan_file: PlanFile, facts: "_Facts", records: tuple[Record, ...], earlier: tuple[Record, ...]
) -> None:
    """Manifest, plan, records and what was wanted must all speak of the same subject, earlier records of others."""
    subject, spec = bundle.subject, plan_file.plan.subject
    digests = {r.subject.digest for r in records} | {wanted.subject for wanted in facts.wanted.values()}
    if (subject.name, subject.version) != (spec.name, spec.version) or digests != {subject.digest}:
        raise IntegrityError("its manifest, plan and records speak of different subjects")
    if any(r.subject.digest == subject.digest or r.subject.name != subject.name for r in earlier):
        raise IntegrityError("what it holds for comparison is not of earlier subjects of the same name")
    if facts.wanted.keys() != plan_file.plan.collect.keys():
        raise IntegrityError("its manifest and its plan name different collectors")


def _signer_files(plan_file: PlanFile) -> dict[str, bytes]:
    paths = {
        role: plan_file.resolve(person.signers)
        for role, person in plan_file.plan.people.items()
        if person.signers is not None
    }
    return {role: path.read_bytes() for role, path in paths.items() if path.exists()}


def _facts(plan_file: PlanFile, decision: Decision, run: RunFacts) -> dict[str, Any]:
    """What a decision rests on besides files: the time, the level, and what evidence had to be measured on."""
    return {
        "level": decision.requested_level,
        "decided_at": decision.decided_at.isoformat(),
        "invalid_records": list(decision.invalid_records),
        "wanted": {name: asdict(wanted) for name, wanted in wanted_of(plan_file).items()},
        "run": {**asdict(run), "made_now": sorted(run.made_now)},
    }


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Wanted(_Model):
    subject: str
    inputs: dict[str, str]


class _Run(_Model):
    gonogo_version: str
    host: str
    home: str
    ledger: str
    router: str | None
    metric_source: str | None
    made_now: tuple[str, ...]


class _Facts(_Model):
    """What the manifest says besides the files, as ``_facts`` writes it."""

    level: Level
    decided_at: Moment
    invalid_records: tuple[str, ...]
    wanted: dict[str, _Wanted]
    run: _Run


def _signers(bundle: Bundle, plan_file: PlanFile) -> dict[str, tuple[Signer, ...]]:
    """The allowed signers of each role of the plan; a file for anybody else has no place here."""
    roles = {role for role, person in plan_file.plan.people.items() if person.signers is not None}
    signers: dict[str, tuple[Signer, ...]] = dict.fromkeys(roles, ())
    for name, content in bundle.folder("signers"):
        role = name.removesuffix(".allowed")
        if role not in roles:
            raise IntegrityError(f"signers/{name} is for no role of the plan")
        signers[role] = parse_allowed_signers(content.decode(), name=f"signers/{name}")
    return signers


def _records(bundle: Bundle, folder: str) -> tuple[Record, ...]:
    """The records in a folder, each verified and in its place of the ledger's chain."""
    chain = bundle.file("chain.txt").decode().splitlines()
    sequence_of = {record_id: number for number, record_id in enumerate(chain, start=1)}
    if len(sequence_of) != len(chain):
        raise IntegrityError("its chain names a record twice")
    records = []
    for name, envelope in bundle.folder(folder):
        record_id = name.removesuffix(".json")
        if record_id != hashlib.sha256(envelope).hexdigest() or record_id not in sequence_of:
            raise IntegrityError(f"record {record_id[:12]} is not the one that its name says, or not in the chain")
        act = stated_kind(envelope) in ACTS
        records.append(
            read_envelope(envelope, bundle.trusted, record_id=record_id, sequence=sequence_of[record_id], act=act)
        )
    return tuple(sorted(records, key=lambda record: record.sequence))


def _attachments(bundle: Bundle, records: tuple[Record, ...]) -> dict[str, bytes]:
    attachments = dict(bundle.folder("attachments"))
    named = {a.sha256: a for record in records for a in record.attachments}
    for sha256 in sorted(attachments.keys() | named.keys()):
        if sha256 not in named or sha256 not in attachments:
            what = "is missing" if sha256 in named else "belongs to no record"
            raise IntegrityError(f"attachment {sha256[:12]} {what}")
        content = attachments[sha256]
        if hashlib.sha256(content).hexdigest() != sha256 or len(content) != named[sha256].size_bytes:
            raise IntegrityError(f"attachment {sha256[:12]} is not the one that its record names")
    return attachments
