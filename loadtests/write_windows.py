"""Appending a window to the file of windows, durably. Runs inside the Locust process only."""

import json
import os
from typing import Any, TextIO

from gevent import get_hub


def append_window(file: TextIO, entry: dict[str, Any], began_at: float) -> None:
    """Append a window whose times are seconds since ``began_at`` (epoch); arrivals go on while the disk is busy."""
    times = {"started_at": began_at + entry.pop("from_s"), "finished_at": began_at + entry.pop("to_s")}
    file.write(json.dumps({"sequence": entry.pop("sequence"), **times, **entry}) + "\n")
    file.flush()
    get_hub().threadpool.apply(os.fsync, (file.fileno(),))
