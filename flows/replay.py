"""Replay: compute again, from what is attached to records, what they say was measured. No Prefect here."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from collectors.accuracy import replay_accuracy
from collectors.contract import replay_contract
from collectors.documentation import replay_documentation
from collectors.external_api_drill import replay_external_api
from collectors.test_suite import replay_test_suite
from evidence.record import Record
from evidence.replay import Attached, Recomputed
from evidence.results import DrillResult
from evidence.store import EvidenceStore
from expectations.runner import replay_data_quality
from loadtests.load import replay_load
from loadtests.soak_result import replay_soak
from processes.errors import UnrecordedError
from rollouts.ab_test import replay_ab_test
from rollouts.auto_rollback import replay_auto_rollback
from rollouts.drill import replay_rollback
from rollouts.lived import replay_rollout
from rollouts.router_drills import replay_lease_lapse, replay_router_restart

REPLAYS: Mapping[str, Callable[[Record, Attached], Recomputed]] = {
    "test-suite": replay_test_suite,
    "contract": replay_contract,
    "data-quality": replay_data_quality,
    "accuracy": replay_accuracy,
    "load": replay_load,
    "soak": replay_soak,
    "rollback drill": replay_rollback,
    "auto-rollback drill": replay_auto_rollback,
    "lease-lapse drill": replay_lease_lapse,
    "router-restart drill": replay_router_restart,
    "external-api drill": replay_external_api,
    "documentation": replay_documentation,
    "rollout": replay_rollout,
    "ab-test": replay_ab_test,
}
"""How each kind of evidence is computed again."""

NOT_REPLAYED: Mapping[str, str] = {
    "monitoring": "what the monitoring answered is not attached, only the rules that it was asked to load",
    "decision": "the plan it was made by is not attached; gonogo verify BUNDLE derives a decision again",
    "approval": "a person's word: nothing is computed",
    "waiver": "a person's word: nothing is computed",
    "revocation": "a person's word: nothing is computed",
    "retention": "it names what was removed: nothing is computed",
}
"""The kinds that cannot be computed again, and why."""

OBSERVED: Mapping[str, tuple[str, ...]] = {
    "test-suite": ("exit_code",),
    "contract": (),
    "data-quality": ("rows", "details.name", "details.passed", "details.observed"),
    "accuracy": (),
    "load": (),
    "soak": (),
    "rollback drill": (),
    "auto-rollback drill": (),
    "lease-lapse drill": (),
    "router-restart drill": (),
    "external-api drill": (),
    "documentation": (),
    "rollout": ("stages.duration_s", "ticks", "days"),
    "ab-test": ("days",),
}
"""The fields that are observed and not computed: compared with the raw material, which states them.

``exit_code`` alone stands nowhere else and is taken from the record.
"""

_REMOVED = "retention removed their content"


@dataclass(frozen=True)
class Replay:
    """How many records of each kind were computed again, and of which kinds none could be, for each reason.

    ``problem`` names the first record and field that differs, None when none does.
    """

    replayed: Mapping[str, int]
    not_replayed: Mapping[tuple[str, str], int]
    problem: str | None


def replay_ledger(store: EvidenceStore) -> Replay:
    """Replay every record of a verified ledger, oldest first, up to the first that differs."""

    def records() -> Iterator[tuple[Record | None, str, Callable[[str], bytes]]]:
        removed = store.removed()
        for row in store.ledger.rows():
            gone = row.envelope is None or row.record_id in removed
            yield (None if gone else store.read(row)), row.kind, store.attachments.get

    return _replay(records())


def replay_records(records: tuple[Record, ...], attachments: Mapping[str, bytes]) -> Replay:
    """Replay the records of a verified bundle, whose attachments are given by sha256, up to the first that differs."""
    return _replay((record, record.kind, attachments.__getitem__) for record in records)


def _replay(records: Iterator[tuple[Record | None, str, Callable[[str], bytes]]]) -> Replay:
    """``records`` holds each record, or None where it was removed, with its kind and how to get an attachment."""
    replayed: Counter[str] = Counter()
    not_replayed: Counter[tuple[str, str]] = Counter()
    for record, kind, content_of in records:
        name, why = kind, _REMOVED
        if record is not None:
            name = _name_of(record)
            try:
                if problem := problem_of(record, {a.name: content_of(a.sha256) for a in record.attachments}):
                    return Replay(replayed, not_replayed, problem)
                replayed[name] += 1
                continue
            except UnrecordedError as error:
                why = str(error)
        not_replayed[name, why] += 1
    return Replay(replayed, not_replayed, None)


def problem_of(record: Record, attachments: Attached) -> str | None:
    """Compute one record again; returns what differs, None when nothing does. Raises UnrecordedError."""
    name = _name_of(record)
    if name not in REPLAYS:
        raise UnrecordedError(NOT_REPLAYED.get(name, "this version knows no way to compute it"))
    where = f"record {record.sequence} ({record.record_id[:12]}, {record.collector}, {name})"
    try:
        recomputed = REPLAYS[name](record, attachments)
    except UnrecordedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever raw material does to its reader, the record rests on nothing
        return f"{where}: cannot be computed again from its attachments: {type(error).__name__}: {error}"
    recorded, again = (
        {**result.model_dump(mode="json"), "outcome of the record": outcome}
        for result, outcome in ((record.result, record.outcome), (recomputed.result, recomputed.outcome))
    )
    difference = next(_differences("", recorded, again), None)
    return f"{where}: {difference}{_versions(record)}" if difference else None


def _name_of(record: Record) -> str:
    return f"{record.result.drill} drill" if isinstance(record.result, DrillResult) else record.kind


def _differences(path: str, recorded: Any, again: Any) -> Iterator[str]:
    """The fields that are not the same, to the last bit."""
    if isinstance(recorded, dict) and isinstance(again, dict) and recorded.keys() == again.keys():
        for key in recorded:
            yield from _differences(f"{path}.{key}" if path else str(key), recorded[key], again[key])
    elif isinstance(recorded, list) and isinstance(again, list) and len(recorded) == len(again):
        for number, (one, other) in enumerate(zip(recorded, again, strict=True)):
            yield from _differences(f"{path}.{number}", one, other)
    elif recorded != again:
        yield f"{path} is {_shown(recorded)}, computed again it is {_shown(again)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:99]}…"


def _versions(record: Record) -> str:
    """Where this machine computes by other versions than the record was made by: they may round otherwise."""
    here = {name: _version_here(name) for name in record.tools}
    other = [
        f"{name} {made} (here {here[name]})" for name, made in record.tools.items() if here[name] not in (None, made)
    ]
    return f"; made with {', '.join(other)}" if other else ""


def _version_here(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None  # a tool that is no package: it has measured, and computes nothing
