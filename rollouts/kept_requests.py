"""Requests as evidence keeps them: one Parquet table, each request with the phase in which it was seen."""

import io
from collections.abc import Mapping, Sequence

import pandas as pd

from rollouts.samples import RequestSample

_COLUMNS = ("at_s", "backend", "status", "latency_ms", "user_hash", "assigned")


def keep_requests(phases: Mapping[str, Sequence[RequestSample]]) -> bytes:
    """The table of all phases, in the order in which requests were seen; floats to the last bit."""
    rows = [
        (*(getattr(request, name) for name in _COLUMNS), phase)
        for phase, requests in phases.items()
        for request in requests
    ]
    return bytes(pd.DataFrame(rows, columns=[*_COLUMNS, "phase"]).to_parquet(index=False))


def read_kept_requests(content: bytes) -> dict[str, list[RequestSample]]:
    """The requests of each phase; a phase without any is not there. Raises KeyError and ValueError for other tables."""
    phases: dict[str, list[RequestSample]] = {}
    table = pd.read_parquet(io.BytesIO(content))[[*_COLUMNS, "phase"]]
    for *values, phase in table.itertuples(index=False):
        phases.setdefault(phase, []).append(RequestSample(*values))
    return phases
