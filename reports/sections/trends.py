"""The same metrics over the last subjects of the same name: how this release stands beside those before it."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from decision.criteria import Criterion
from decision.plan import Plan
from evidence.record import Record
from reports.charts import LineChart
from reports.formats import limit_text, minute, short, unit_value
from reports.part import Part

SUBJECTS = 10
"""How many subjects a report shows, this one among them."""

RULE = (
    "The newest evidence of each subject, for every metric that a claim limits. No verdict rests on it. A * was"
    " measured otherwise than now (another part of the plan, other users, or for another time), so it compares with"
    " care. A dash: not measured, or the measurement showed nothing."
)

_CHARTED = frozenset({"load", "soak"})
_CHARTED_FROM = 3
_LENGTHS = ("shape", "target_hours", "stage_minimum_s")
"""Parameters that say for how long, and at which rates, something was measured: a profile may change them."""


class Metric(Part):
    """A number that claims of the plan limit, by collector and field of its result."""

    collector: str
    field: str
    limit: str
    at_most: float | None


class SubjectColumn(Part):
    """One subject, with the time of its newest evidence."""

    version: str
    digest: str
    measured_at: str


class Value(Part):
    """What one subject showed: a dash when it showed nothing, with a star when it was not measured as now."""

    text: str
    number: float | None


class MetricTrend(Part):
    """One metric over the subjects, in the order of the columns."""

    metric: Metric
    values: tuple[Value, ...]
    text: str


class TrendsPart(Part):
    """The section: subjects from oldest to this one, and a line for each metric that two of them have."""

    rule: str
    subjects: tuple[SubjectColumn, ...]
    metrics: tuple[MetricTrend, ...]
    charts: tuple[LineChart, ...]


def tracked(plan: Plan) -> tuple[Metric, ...]:
    """The numbers that the plan's claims limit from above or below, each once, in the plan's order."""
    metrics: dict[tuple[str, str], Metric] = {}
    for claim in plan.claims:
        for field, criterion in claim.criteria.items():
            at_most, limited = _limits(criterion)
            if limited:
                text = limit_text(field, criterion)
                metrics.setdefault(
                    (claim.needs, field), Metric(collector=claim.needs, field=field, limit=text, at_most=at_most)
                )
    return tuple(metrics.values())


def trends_part(plan: Plan, records: Sequence[Record], earlier: Sequence[Record]) -> TrendsPart:
    """The section. ``records`` are those of this subject, ``earlier`` the newest of each collector of others."""
    subjects = [*_by_subject(earlier), *_by_subject(records)]
    now = subjects[-1] if subjects else {}
    trends = []
    for metric in tracked(plan):
        shown = [of_subject.get(metric.collector) for of_subject in subjects]
        values = tuple(_value(metric, record, now.get(metric.collector)) for record in shown)
        if sum(value.number is not None for value in values) > 1:
            text = ", ".join(value.text for value in values)
            trends.append(MetricTrend(metric=metric, values=values, text=text))
    return TrendsPart(
        rule=RULE,
        subjects=tuple(_column(of_subject) for of_subject in subjects),
        metrics=tuple(trends),
        charts=tuple(_chart(trend) for trend in trends if _is_charted(plan, trend)),
    )


def _limits(criterion: Criterion) -> tuple[float | None, bool]:
    """The lowest upper limit, and whether there is a limit from above or below."""
    parts = [criterion, *criterion.all_of]
    at_most = min((part.at_most for part in parts if part.at_most is not None), default=None)
    return at_most, at_most is not None or any(part.at_least is not None for part in parts)


def _by_subject(records: Sequence[Record]) -> Iterator[dict[str, Record]]:
    """The newest record of each collector, subject by subject; the subject measured last comes last."""
    by_digest = sorted(records, key=lambda r: (r.subject.digest, r.sequence))
    groups = [list(group) for _, group in groupby(by_digest, key=lambda r: r.subject.digest)]
    for group in sorted(groups, key=lambda group: group[-1].sequence):
        yield {record.collector: record for record in group}


def _value(metric: Metric, record: Record | None, now: Record | None) -> Value:
    observed = getattr(record.result, metric.field, None) if record else None
    if record is None or record.outcome in ("inconclusive", "errored") or isinstance(observed, bool):
        return Value(text="–", number=None)
    if not isinstance(observed, int | float) or not math.isfinite(observed):
        return Value(text="–", number=None)
    otherwise = now is not None and _method(record) != _method(now)
    failed = " (failed)" if record.outcome == "failed" else ""
    return Value(text=unit_value(metric.field, observed) + ("*" if otherwise else "") + failed, number=float(observed))


def _method(record: Record) -> tuple[dict[str, str], list[object]]:
    """How a record was measured: its inputs without what the release itself changes (the targets), and for how long."""
    inputs = {name: digest for name, digest in record.inputs.items() if name != "plan targets"}
    return inputs, [record.parameters.get(name) for name in _LENGTHS]


def _column(of_subject: dict[str, Record]) -> SubjectColumn:
    newest = max(of_subject.values(), key=lambda r: r.sequence)
    return SubjectColumn(
        version=newest.subject.version,
        digest=short(newest.subject.digest),
        measured_at=minute(newest.finished_at),
    )


def _is_charted(plan: Plan, trend: MetricTrend) -> bool:
    """What can creep up to a limit from above, where it was measured often enough to show a course."""
    measured = sum(value.number is not None for value in trend.values)
    kind = plan.collect[trend.metric.collector].kind
    return kind in _CHARTED and trend.metric.at_most is not None and measured >= _CHARTED_FROM


def _chart(trend: MetricTrend) -> LineChart:
    numbered = [(float(number), value.number) for number, value in enumerate(trend.values, start=1)]
    metric = trend.metric
    return LineChart(
        title=f"{metric.field} of {metric.collector}",
        note=f"The limit is {metric.limit}.",
        x_label="subject, oldest first",
        y_label=metric.field,
        points=tuple((x, y) for x, y in numbered if y is not None),
        limit=metric.at_most,
    )
