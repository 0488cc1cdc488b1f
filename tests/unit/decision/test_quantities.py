import pytest

from decision.quantities import (
    Margin,
    duration_text,
    parse_address,
    parse_duration_s,
    parse_margin,
    parse_number,
    parse_rate_per_s,
    parse_ratio,
    parse_windows,
)


def test_quantities_are_read_as_people_write_them() -> None:
    assert parse_duration_s("1h30m") == 5400
    assert parse_duration_s("500ms") == 0.5
    assert parse_ratio("5%") == pytest.approx(0.05)
    assert parse_number("512MB") == 512e6
    assert parse_number("98%") == pytest.approx(0.98)
    assert parse_rate_per_s("300/m") == pytest.approx(5)
    assert parse_margin("0.5pp") == Margin(absolute=0.005, relative=None)
    assert parse_margin("10%").allowance(200) == pytest.approx(20)
    assert parse_windows("3 windows") == 3


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_duration_s, 30),
        (parse_duration_s, "30"),
        (parse_duration_s, "10 minutes"),
        (parse_ratio, "105%"),
        (parse_ratio, 5),
        (parse_ratio, True),
        (parse_number, float("nan")),
        (parse_number, "many"),
        (parse_rate_per_s, "0/s"),
        (parse_margin, "-1%"),
        (parse_windows, 0),
    ],
)
def test_anything_else_is_refused_with_an_example(parse: object, text: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250ms"), (42.3, "42s"), (5400, "1h 30m"), (86400 * 3 + 7200, "3d 2h"), (60, "1m")]
)
def test_durations_are_written_with_two_units_at_most(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize("wrong", ["", "5557", ":5557", "host:", "host:port", "host:70000", None])
def test_an_address_needs_host_and_port(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        parse_address(wrong)


def test_an_address_is_host_and_port() -> None:
    assert parse_address("10.0.0.5:5557") == ("10.0.0.5", 5557)
