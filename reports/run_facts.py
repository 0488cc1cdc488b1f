"""What the report says of the run that it ends."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from evidence.record import Record
from evidence.results import MonitoringResult, RolloutResult


@dataclass(frozen=True)
class RunFacts:
    """``made_now`` holds the ids of the records that this run measured; all others were in the ledger before.

    ``home`` is the folder for ``--home``; ``ledger`` says where the ledger is, without any password. ``router`` and
    ``metric_source`` are what was used by the newest evidence, None when there is none.
    """

    gonogo_version: str
    host: str
    home: str
    ledger: str
    router: str | None
    metric_source: str | None
    made_now: frozenset[str]

    @classmethod
    def of(cls, records: Sequence[Record], *, began_at: datetime | None, home: str, ledger: str) -> "RunFacts":
        """The facts of a run that began at ``began_at`` (None: it measured nothing). What it finished, it made."""
        newest_first = sorted(records, key=lambda r: r.finished_at, reverse=True)
        results = [r.result for r in newest_first]
        return cls(
            gonogo_version=_version(),
            host=f"{platform.system()} {platform.release()} {platform.machine()}",
            home=home,
            ledger=ledger,
            router=next((r.router for r in results if isinstance(r, RolloutResult)), None),
            metric_source=next((r.source for r in results if isinstance(r, MonitoringResult)), None),
            made_now=frozenset(r.record_id for r in records if began_at is not None and r.finished_at >= began_at),
        )


def _version() -> str:
    try:
        return version("gonogo")
    except PackageNotFoundError:
        return "(version unknown)"
