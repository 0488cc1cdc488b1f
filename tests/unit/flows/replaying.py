"""Record a measurement in a ledger of its own and replay it from there."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from evidence.ledger import Ledger
from evidence.measurement import Measurement
from evidence.record import Record
from evidence.results import Result
from evidence.store import EvidenceStore, open_store
from flows.replay import Replay, problem_of, replay_ledger
from tests.unit.evidence.conftest import SUBJECT


def _store(folder: Path) -> EvidenceStore:
    return replace(open_store(folder), ledger=Ledger(f"sqlite:///{folder / 'replayed.sqlite'}"))


def replayed(measurement: Measurement, folder: Path) -> Replay:
    """The replay of a ledger that holds the measurement alone."""
    store = _store(folder)
    try:
        store.record(SUBJECT, "measured", {}, measurement)
        return replay_ledger(store)
    finally:
        store.ledger.close()


def replays(measurement: Measurement, folder: Path) -> bool:
    """Whether the measurement was computed again, the same to the last bit."""
    replay = replayed(measurement, folder)
    assert replay.problem is None, replay.problem
    assert not replay.not_replayed
    return sum(replay.replayed.values()) == 1


def unseen_changes(measurement: Measurement, folder: Path) -> list[str]:
    """The fields whose smallest change, signed into a record, no replay sees."""
    store = _store(folder)
    content = {attachment.name: attachment.content for attachment in measurement.attachments}
    unseen = []
    try:
        for path, result in changed(measurement.result):
            record: Record = store.record(SUBJECT, "measured", {}, replace(measurement, result=result))
            problem = problem_of(record, content)
            if problem is None or f" {path} is " not in problem:
                unseen.append(path)
    finally:
        store.ledger.close()
    return unseen


def changed(result: Result) -> Iterator[tuple[str, Result]]:
    """The result with one number or truth value changed by as little as there is, for each of them."""
    dumped = result.model_dump(mode="json")
    for path, holder, key in list(_leaves("", dumped)):
        value = holder[key]
        holder[key] = _next_to(value)
        yield path, type(result).model_validate(dumped)
        holder[key] = value


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        where = f"{path}.{key}" if path else str(key)
        if isinstance(inner, dict | list):
            yield from _leaves(where, inner)
        elif isinstance(inner, bool | int | float):
            yield where, value, key


def _next_to(value: bool | float) -> bool | float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else math.nextafter(value, 0.0) if value else 5e-324
