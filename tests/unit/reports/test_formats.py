from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from decision.criteria import Criterion
from reports.columns import wrap
from reports.formats import distance, limit_text, margin_text, percent, unit_value, window
from reports.untrusted import LONGEST, neutral


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0, "0 %"), (1, "100 %"), (418 / 424, "98.6 %"), (0.05, "5 %"), (0.99996, "99.996 %"), (0.00075, "0.075 %"),
     (0.00004, "0.004 %"), (4.1, "410 %"), (-0.02, "-2 %")],
)  # fmt: skip
def test_shares_are_written_in_percent(ratio: float, text: str) -> None:
    assert percent(ratio) == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_almost_all_is_never_written_as_all_and_little_never_as_nothing(ratio: float) -> None:
    assert float(percent(ratio).removesuffix(" %")) != 0
    assert ratio > 1 - 1e-9 or float(percent(ratio).removesuffix(" %")) != 100


def test_values_take_the_unit_of_their_field() -> None:
    assert unit_value("p95_ms", 28.24) == "28.24 ms"
    assert unit_value("error_rate", 0.005) == "0.5 %"
    assert unit_value("hours_under_load", 72.5) == "72.5 h"
    assert unit_value("completed", True) == "yes"
    assert unit_value("rows", 5000) == "5,000"


def test_limits_and_margins_are_in_the_unit_of_their_field() -> None:
    assert limit_text("pass_rate", Criterion(at_least=0.98)) == "at least 98 %"
    assert limit_text("failed", Criterion(equals=0)) == "exactly 0"
    assert limit_text("verdict", Criterion(equals="stable")) == "stable"
    assert limit_text("p95_ms", Criterion(within=(1, 20))) == "from 1 ms to 20 ms"
    assert margin_text("pass_rate", -0.85) == "−85 pp"
    assert margin_text("p95_ms", 171.8) == "+171.8 ms"
    assert margin_text("verdict", None) == ""


def test_times_are_told_from_the_report() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert distance(now + timedelta(hours=70), now) == "in 2d 22h"
    assert distance(now - timedelta(minutes=65), now) == "1h 5m ago"
    assert window(now, now + timedelta(days=1)) == "2026-01-01 00:00:00 to 2026-01-02 00:00:00 UTC"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "  - ", "RECOMMENDATION: "]))
def test_wrapped_text_fits_and_keeps_its_letters(text: str, first: str) -> None:
    text = neutral(text)
    wrapped = wrap(text, first)
    assert all(cell_len(line) <= 80 for line in wrapped.splitlines())
    assert wrapped.startswith(first.rstrip())
    assert "".join(wrapped.removeprefix(first.rstrip()).split()) == "".join(text.split())


@given(st.text())
def test_neutral_text_is_one_line_without_controls(text: str) -> None:
    shown = neutral(text)
    assert shown.isprintable() or all(c.isprintable() or c == "\u3000" or c.isspace() for c in shown)
    assert len(shown.splitlines()) <= 1


def test_long_text_is_cut_and_says_how_much() -> None:
    assert neutral("x" * 10_000) == "x" * LONGEST + " [9,600 more characters]"
