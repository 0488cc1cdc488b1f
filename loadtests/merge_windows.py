"""The windows of several workers as one, exactly: counts are added, histograms merged."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hdrh.histogram import HdrHistogram

from loadtests.windows import COUNTS

_CLASSES_KEPT = 20


def merge_entries(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One window of several of the same sequence: CPU is that of the busiest worker, memory that of all."""
    histograms: dict[str, Any] = {}
    classes: Counter[str] = Counter()
    for entry in entries:
        classes.update(entry["error_classes"])
        _add(histograms, entry["histograms"])
    return {
        "sequence": entries[0]["sequence"],
        "from_s": min(entry["from_s"] for entry in entries),
        "to_s": max(entry["to_s"] for entry in entries),
        "due_until_s": max(entry["due_until_s"] for entry in entries),
        **{name: sum(entry[name] for entry in entries) for name in COUNTS},
        "error_classes": dict(classes.most_common(_CLASSES_KEPT)),
        "histograms": {name: histogram.encode().decode() for name, histogram in histograms.items()},
        "generator_cpu": max(entry["generator_cpu"] for entry in entries),
        "generator_rss_bytes": sum(entry["generator_rss_bytes"] for entry in entries),
        "clock_offset_s": max((entry["clock_offset_s"] for entry in entries), key=abs),
    }


def _add(merged: dict[str, Any], encoded: dict[str, str]) -> None:
    for name, text in encoded.items():
        histogram = HdrHistogram.decode(text.encode())
        if name in merged:
            merged[name].add(histogram)
        else:
            merged[name] = histogram
