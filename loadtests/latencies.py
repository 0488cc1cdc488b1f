"""Sums of many HDR histograms of latencies: exact, and fast enough for the windows of days.

The counts stand in one array, and figures are taken from it by HdrHistogram's own formulas with the same rounding:
a value is that of its bucket's upper end, the mean is over the middle of each bucket.
"""

import base64
import binascii
import struct
import zlib
from functools import lru_cache

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray
from pyhdrh import decode  # type: ignore[import-not-found]

from processes.errors import CollectError

Counts = NDArray[np.int64]

_COOKIES = struct.Struct(">II")  # cookie and length, before the compressed part
_HEADER = struct.Struct(">IIIIQQd")  # cookie, length, offset, significant figures, lowest and highest value, ratio
_COMPRESSED, _PLAIN = 0x1C849304, 0x1C849303
_WORD_SIZE = 8

Layout = tuple[int, int, int]
"""Lowest and highest value in microseconds, and significant figures: what a histogram can hold."""


class Latencies:
    """A sum of histograms of one layout."""

    def __init__(self) -> None:
        self._layout: Layout | None = None
        self._counts: Counts = np.zeros(0, np.int64)
        self._decoded: Counts = np.zeros(0, np.int64)
        self._address = 0

    def add(self, encoded: str) -> None:
        """Add an encoded histogram. Raises CollectError when it is damaged, or of another layout than the others."""
        try:
            packed = base64.b64decode(encoded)
            cookie, length = _COOKIES.unpack_from(packed)
            plain = zlib.decompress(packed[_COOKIES.size :])
            inner, _, _, figures, lowest, highest, _ = _HEADER.unpack_from(plain)
        except (binascii.Error, struct.error, zlib.error) as error:
            raise CollectError(f"not a histogram of latencies: {error}") from error
        if (cookie & ~0xF0, inner & ~0xF0, length) != (_COMPRESSED, _PLAIN, len(packed) - _COOKIES.size):
            raise CollectError("not a histogram of latencies: its header is wrong")
        if self._layout != (lowest, highest, figures):
            self._use((lowest, highest, figures))
        try:
            found = decode(plain, _HEADER.size, self._address, len(self._decoded), _WORD_SIZE)
        except (ValueError, IndexError) as error:
            self._decoded[:] = 0
            raise CollectError(f"not a histogram of latencies: {error}") from error
        if found["total"]:
            touched = slice(found["min_nonzero_index"], found["max_nonzero_index"] + 1)
            self._counts[touched] += self._decoded[touched]
            self._decoded[touched] = 0

    def merge(self, other: "Latencies") -> None:
        """Add another sum. Raises CollectError when it is of another layout."""
        if other._layout is not None:
            self._use(other._layout)
            self._counts += other._counts

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self._counts.sum())

    def values_at(self, *percentiles: float) -> list[int]:
        """The values in microseconds at percentiles from 0 (excluded) to 100. There must be a value."""
        running, (ends_us, _) = np.cumsum(self._counts), _values(self._known_layout)
        ranks = [max(int(p * int(running[-1]) / 100 + 0.5), 1) for p in percentiles]
        return [int(ends_us[index]) for index in np.searchsorted(running, ranks)]

    def max_us(self) -> int:
        """The largest value in microseconds. There must be a value."""
        return int(_values(self._known_layout)[0][np.flatnonzero(self._counts)[-1]])

    def mean_us(self) -> float:
        """The mean in microseconds. There must be a value."""
        return float(int(self._counts @ _values(self._known_layout)[1])) / self.count

    @property
    def _known_layout(self) -> Layout:
        if self._layout is None:
            raise ValueError("there is no value")
        return self._layout

    def _use(self, layout: Layout) -> None:
        if self._layout is None:
            self._layout = layout
            size = len(_values(self._layout)[0])
            self._counts, self._decoded = np.zeros(size, np.int64), np.zeros(size, np.int64)
            self._address = self._decoded.ctypes.data
        elif self._layout != layout:
            raise CollectError(f"histograms of {layout} and of {self._layout} are not of one load")


@lru_cache(maxsize=4)
def _values(layout: Layout) -> tuple[Counts, Counts]:
    """The upper end and the middle of every bucket of a layout, in microseconds."""
    empty = HdrHistogram(*layout)
    starts = [empty.get_value_from_index(index) for index in range(empty.counts_len)]
    ends = [empty.get_highest_equivalent_value(start) for start in starts]
    return np.array(ends, np.int64), np.array([s + (e - s + 1 >> 1) for s, e in zip(starts, ends, strict=True)])
