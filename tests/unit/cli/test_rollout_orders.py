import pytest

from cli.main import WRONG_USAGE, run
from cli.rollout import _one_line


@pytest.mark.parametrize(("arguments", "says"), [
    (["pause", "plan.yaml", "--reason", "\x1b[31mred"], "--reason: expected text without control characters"),
    (["abort", "plan.yaml", "--reason", "a\0b"], "--reason: expected text without control characters"),
    (["start", "plan.yaml", "--reason", "a\x07"], "--reason: expected text without control characters"),
    (["abort", "plan.yaml", "--reason", " \n "], "say with --reason why"),
    (["tick", "plan.yaml", "--every", "0s"], "--every 0s: expected more than no time"),
])  # fmt: skip
def test_an_order_that_cannot_be_written_down_is_refused_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rollout", *arguments]) == WRONG_USAGE
    assert capsys.readouterr().err == f"gonogo: {says}\n"


def test_a_reason_of_several_lines_becomes_one() -> None:
    assert _one_line(" errors\n\tin Köln ") == "errors in Köln"
