"""The appendix: every record with what it measured, and who rests on it."""

from collections.abc import Mapping, Sequence

from decision.decide import Decision
from decision.plan import Plan
from decision.quantities import duration_text
from evidence.acts import Act
from evidence.record import Record
from reports.charts import Chart, charts_of, test_totals
from reports.formats import short, unit_value, window
from reports.numbers import numbers_of
from reports.part import Part
from reports.run_facts import RunFacts
from reports.sections.claim_lines import ClaimLine
from reports.tables import EvidenceTable, tables_of


class Fact(Part):
    """A named value."""

    name: str
    value: str


class EvidenceCard(Part):
    """One record. ``claims`` rest on it; ``origin`` says whether this run made it."""

    record_id: str
    short_id: str
    sequence: int
    kind: str
    collector: str
    outcome: str
    numbers: str
    summary: str
    window: str
    duration: str
    origin: str
    claims: tuple[str, ...]
    subject: str
    commit: str
    signed_by: str
    facts: tuple[Fact, ...]
    tables: tuple[EvidenceTable, ...]
    charts: tuple[Chart, ...]
    left_out: tuple[str, ...]
    inputs: tuple[Fact, ...]
    parameters: tuple[Fact, ...]
    tools: tuple[Fact, ...]
    attachments: tuple[Fact, ...]


class EvidencePart(Part):
    """The section. ``unused`` are verified records of the subject that no claim rests on."""

    claims: tuple[ClaimLine, ...]
    used: tuple[EvidenceCard, ...]
    unused: tuple[EvidenceCard, ...]
    invalid: tuple[str, ...]
    overview: tuple[Chart, ...]
    verify: str
    show: str
    ledger: str
    measured_with: tuple[Fact, ...]


def evidence_part(
    plan: Plan, decision: Decision, claims: Mapping[str, ClaimLine], records: Sequence[Record], run: RunFacts
) -> EvidencePart:
    """The section; records in the ledger's order."""
    cards = [
        _card(record, claims, run, _limits(plan, record.collector))
        for record in sorted(records, key=lambda r: r.sequence)
    ]
    used_records = [r for r in records if any(c.record_id == r.record_id for c in claims.values())]
    return EvidencePart(
        claims=tuple(claims.values()),
        used=tuple(card for card in cards if card.claims),
        unused=tuple(card for card in cards if not card.claims),
        invalid=decision.invalid_records,
        overview=test_totals(used_records),
        verify=f"gonogo verify --ledger --home {run.home}",
        show=f"gonogo evidence show ID --home {run.home}",
        ledger=run.ledger,
        measured_with=measured_with(run),
    )


def measured_with(run: RunFacts) -> tuple[Fact, ...]:
    """The parts that took the measurements."""
    source = {"scrape": "direct scrape, not Prometheus", "prometheus": "Prometheus"}
    router = {"embedded": "embedded router, not HAProxy", "haproxy": "HAProxy"}
    return (
        Fact(name="gonogo", value=run.gonogo_version),
        Fact(name="router", value=router.get(run.router, run.router) if run.router else "none used"),
        Fact(
            name="metrics", value=source.get(run.metric_source, run.metric_source) if run.metric_source else "none used"
        ),
        Fact(name="reported on", value=run.host),
    )


def _card(record: Record, claims: Mapping[str, ClaimLine], run: RunFacts, limits: Mapping[str, float]) -> EvidenceCard:
    return EvidenceCard(
        record_id=record.record_id,
        short_id=short(record.record_id),
        sequence=record.sequence,
        kind=record.kind,
        collector=record.collector,
        outcome="signed" if isinstance(record.result, Act) else record.outcome,
        numbers=numbers_of(record),
        summary=record.summary,
        window=window(record.started_at, record.finished_at),
        duration=duration_text((record.finished_at - record.started_at).total_seconds()),
        origin="made in this run" if record.record_id in run.made_now else "reused from the ledger",
        claims=tuple(claim.id for claim in claims.values() if claim.record_id == record.record_id),
        subject=record.subject.digest,
        commit=record.subject.commit or "not known",
        signed_by=record.signed_by,
        facts=tuple(_facts(record)),
        tables=tables_of(record.result),
        charts=charts_of(record.result, limits),
        left_out=tuple(f"{x.what} ({x.count:,}): {x.why}" for x in record.left_out),
        inputs=tuple(Fact(name=name, value=digest) for name, digest in sorted(record.inputs.items())),
        parameters=tuple(Fact(name=n, value=unit_value("", v)) for n, v in sorted(record.parameters.items())),
        tools=tuple(Fact(name=name, value=tool_version) for name, tool_version in sorted(record.tools.items())),
        attachments=tuple(
            Fact(name=f"{a.name} ({a.media_type}, {a.size_bytes:,} B)", value=f"sha256:{a.sha256}")
            for a in record.attachments
        ),
    )


def _limits(plan: Plan, collector: str) -> dict[str, float]:
    """The strictest upper limit that claims set for each field of a collector's results."""
    limits: dict[str, float] = {}
    for claim in plan.claims:
        for field, criterion in claim.criteria.items():
            if claim.needs == collector and criterion.at_most is not None:
                limits[field] = min(criterion.at_most, limits.get(field, criterion.at_most))
    return limits


def _facts(record: Record) -> list[Fact]:
    """Every single value of the result, by the name that criteria use."""
    values = [(name, getattr(record.result, name)) for name in type(record.result).model_fields]
    return [
        Fact(name=name, value="no value" if value is None else unit_value(name, value))
        for name, value in values
        if value is None or isinstance(value, bool | int | float | str)
    ]
