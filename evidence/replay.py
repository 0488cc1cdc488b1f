"""What a replay is made of: the raw material of a record, and what follows from it.

Each kind that can be replayed has one function ``(record, attachments) -> Recomputed`` beside the code that measures
it, and the measurement comes to its own result by the same computation.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evidence.measurement import Outcome
from evidence.record import Record
from evidence.results import Result
from processes.errors import UnrecordedError

Attached = Mapping[str, bytes]
"""The contents of a record's attachments, by name, in the order in which the record names them."""


@dataclass(frozen=True)
class Recomputed:
    """What the raw material of a record gives."""

    result: Result
    outcome: Outcome


def attached(attachments: Attached, name: str) -> bytes:
    """An attachment by name. Raises UnrecordedError: older versions kept less."""
    if name not in attachments:
        raise UnrecordedError(f"made by a version that did not record {name}")
    return attachments[name]


def attached_json(attachments: Attached, name: str) -> dict[str, Any]:
    """An attached JSON object. Raises UnrecordedError, also for the array that older versions kept under this name."""
    value = json.loads(attached(attachments, name))
    if not isinstance(value, dict):
        raise UnrecordedError(f"made by a version that recorded less in {name}")
    return value


def parameter(record: Record, name: str) -> str | int | float | bool | None:
    """A parameter by name. Raises UnrecordedError."""
    if name not in record.parameters:
        raise UnrecordedError(f"made by a version that did not record {name}")
    return record.parameters[name]


def text(record: Record, name: str) -> str:
    """A parameter that is a text. Raises UnrecordedError and TypeError."""
    value = parameter(record, name)
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def number(record: Record, name: str) -> float:
    """A parameter that is a number. Raises UnrecordedError and TypeError."""
    value = parameter(record, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is no number")
    return float(value)


def number_or_none(record: Record, name: str) -> float | None:
    """A parameter that is a number or None. Raises UnrecordedError and TypeError."""
    return None if parameter(record, name) is None else number(record, name)
