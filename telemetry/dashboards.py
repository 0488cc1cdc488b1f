"""The panels of Grafana dashboards, and the queries behind them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes.errors import InputError


@dataclass(frozen=True)
class Panel:
    """One panel with the PromQL of each of its queries."""

    dashboard: str
    title: str
    queries: tuple[str, ...]


def read_panels(path: Path, *, rate_window: str) -> list[Panel]:
    """The panels of a dashboard file that show data (rows and texts do not).

    Grafana's own intervals become ``rate_window`` (``10s``), every other variable becomes ``.*``. Raises InputError.
    """
    try:
        dashboard = json.loads(path.read_text())
        panels = list(_panels(dashboard["panels"]))
        return [
            Panel(
                str(dashboard.get("title", path.stem)),
                str(panel.get("title", "")),
                tuple(_filled(query["expr"], rate_window) for query in panel.get("targets", [])),
            )
            for panel in panels
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no Grafana dashboard: {type(error).__name__} {error}") from error


def _panels(panels: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for panel in panels:
        if panel["type"] == "row":
            yield from _panels(panel.get("panels", []))
        elif panel["type"] != "text":
            yield panel


def _filled(query: str, rate_window: str) -> str:
    query = re.sub(r"\$\{?__(?:rate_interval|interval|range)\}?", rate_window, query)
    return re.sub(r"\$\{\w+(?::\w+)?\}|\$\w+", ".*", query)
