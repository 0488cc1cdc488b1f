from dataclasses import replace
from typing import Any

import pytest

from evidence.record import Record, Subject
from reports.render import render_html, render_text
from reports.sections.trends import tracked, trends_part
from tests.unit.reports.conftest import Case


def earlier(case: Case, number: int, **results: dict[str, float]) -> tuple[Record, ...]:
    """Records of the n-th subject before this one; ``results`` changes fields by collector."""
    subject = Subject("ion-mentoring", f"3.{number}.0", f"dirHash1:{number:064x}")
    return tuple(
        replace(
            record,
            record_id=f"{number:02x}{record.record_id[2:]}",
            sequence=record.sequence - 100 * (10 - number),
            subject=subject,
            result=type(record.result)(**(dict(record.result) | results[record.collector])),
        )
        for record in case.records
        if record.collector in results
    )


def line_of(case: Case, others: tuple[Record, ...], collector: str, field: str) -> str:
    part = trends_part(case.plan_file.plan, case.records, others)
    (text,) = (t.text for t in part.metrics if (t.metric.collector, t.metric.field) == (collector, field))
    return text


def test_a_metric_is_shown_over_the_subjects_from_oldest_to_this_one(good: Case) -> None:
    others = earlier(good, 2, load={"p95_ms": 90.0}) + earlier(good, 1, load={"p95_ms": 80.0})
    now = next(r for r in good.records if r.collector == "load").result
    assert line_of(good, others, "load", "p95_ms") == f"80 ms, 90 ms, {now.p95_ms:.4g} ms"  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_a_subject_did_not_show_is_a_dash_and_never_a_number(good: Case, value: float | None) -> None:
    others = earlier(good, 1, load={"p95_ms": 80.0, "error_rate": 0.001})
    nothing = earlier(good, 2, load={"p95_ms": 70.0})
    broken = tuple(replace(r, result=r.result.model_copy(update={"p95_ms": value})) for r in nothing)
    assert ", –, " in line_of(good, others + broken, "load", "p95_ms")


def test_a_metric_that_one_subject_alone_has_is_no_trend(good: Case) -> None:
    part = trends_part(good.plan_file.plan, good.records, earlier(good, 1, load={}))
    assert {trend.metric.collector for trend in part.metrics} == {"load"}


def test_what_was_measured_otherwise_has_a_star_and_another_version_to_measure_is_no_other_way(good: Case) -> None:
    others = earlier(good, 1, load={"p95_ms": 80.0})
    with_another_rate = tuple(replace(r, inputs={"plan collect": "sha256:aa"}) for r in others)
    of_another_version = tuple(replace(r, inputs={"plan targets": "sha256:aa"}) for r in others)
    assert line_of(good, with_another_rate, "load", "p95_ms").startswith("80 ms*, ")
    assert line_of(good, of_another_version, "load", "p95_ms").startswith("80 ms, ")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"parameters": {"target_hours": 8.0}}, "80 ms*, "),
        ({"outcome": "failed"}, "80 ms (failed), "),
        ({"outcome": "inconclusive"}, "–, "),
    ],
)
def test_another_length_has_a_star_a_failure_is_named_and_what_showed_nothing_is_a_dash(
    good: Case, changes: dict[str, Any], text: str
) -> None:
    others = earlier(good, 1, load={"p95_ms": 80.0}) + earlier(good, 2, load={"p95_ms": 90.0})
    changed = tuple(replace(r, **changes) if r.subject.version == "3.1.0" else r for r in others)
    assert line_of(good, changed, "load", "p95_ms").startswith(text)


def test_every_number_that_a_claim_limits_is_tracked_once(good: Case) -> None:
    metrics = [(m.collector, m.field) for m in tracked(good.plan_file.plan)]
    assert len(metrics) == len(set(metrics))
    assert ("load", "p95_ms") in metrics


def test_load_and_soak_have_charts_from_three_subjects_on(good: Case) -> None:
    one, two = earlier(good, 1, load={"p95_ms": 80.0}), earlier(good, 2, load={"p95_ms": 85.0})
    assert trends_part(good.plan_file.plan, good.records, one).charts == ()
    charts = trends_part(good.plan_file.plan, good.records, one + two).charts
    chart = next(c for c in charts if c.title == "p95_ms of load")
    assert [y for _, y in chart.points][:2] == [80.0, 85.0]
    assert chart.limit is not None


def test_the_report_shows_the_trends_and_says_when_there_are_none(good: Case) -> None:
    nothing = "The ledger holds no comparable evidence of an earlier subject of this name."
    assert nothing in " ".join(render_text(good.view()).split())
    assert nothing in render_html(good.view())
    others = earlier(good, 1, load={"p95_ms": 80.0}) + earlier(good, 2, load={"p95_ms": 90.0})
    view = good.view_of(good.decide(), earlier=others)
    text, html = render_text(view), render_html(view)
    assert "load p95_ms: 80 ms, 90 ms, " in text
    assert max(map(len, text.splitlines())) <= 80
    assert "3.1.0" in text
    assert "(this one)" in text
    assert 'id="trend-1-title"' in html


def test_no_verdict_rests_on_earlier_subjects(good: Case) -> None:
    terrible = earlier(good, 1, load={"p95_ms": 9e9, "error_rate": 1.0})
    before, after = good.view(), good.view_of(good.decide(), earlier=terrible)
    assert before.model_dump(exclude={"trends"}) == after.model_dump(exclude={"trends"})
