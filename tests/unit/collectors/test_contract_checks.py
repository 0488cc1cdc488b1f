from typing import Any

import pytest

from collectors.contract_checks import read_contract_checks
from processes.errors import UsageError

_STATUS = {"check": "requests", "name": "unknown-404", "requests": [{"path": "/x", "expect": 404}]}


def test_one_status_may_be_written_without_a_list() -> None:
    (check,) = read_contract_checks([_STATUS])
    assert check.model_dump()["requests"][0]["expect"] == (404,)


@pytest.mark.parametrize(
    "declared",
    [
        [],
        [{"check": "telepathy", "name": "a"}],
        [{**_STATUS, "requests": []}],
        [{**_STATUS, "surprise": 1}],
        [_STATUS, _STATUS],
        [{"check": "answers-differ", "name": "a", "path": "/a", "bodies": [{}], "field": "x"}],
    ],
)
def test_a_contract_that_checks_nothing_or_is_wrong_is_refused(declared: list[dict[str, Any]]) -> None:
    with pytest.raises(UsageError):
        read_contract_checks(declared)
