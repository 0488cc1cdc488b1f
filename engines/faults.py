"""Faults for drills, switched on by an explicit environment variable only, and never in production.

ION_FAULTS=error-rate=0.06,latency-ms=300,constant,leak-mb-per-minute=5
"""

import time
from dataclasses import dataclass, field
from random import Random


class FaultsRefused(ValueError):
    """Faults that are not understood, or were asked for in production."""


@dataclass
class Faults:
    """What goes wrong on purpose. ``error_rate`` of answers are 500; ``latency_ms`` is added to each."""

    error_rate: float = 0.0
    latency_ms: float = 0.0
    constant: bool = False
    leak_mb_per_minute: float = 0.0
    _random: Random = field(default_factory=lambda: Random(1))
    _leaked: list[bytearray] = field(default_factory=list)
    _began_s: float = field(default_factory=time.monotonic)

    def fails_now(self) -> bool:
        """Whether this request is to fail."""
        return self.error_rate > 0 and self._random.random() < self.error_rate

    def leak(self) -> None:
        """Hold as much memory as should have leaked by now."""
        wanted_mb = self.leak_mb_per_minute * (time.monotonic() - self._began_s) / 60
        while len(self._leaked) < wanted_mb * 10:
            self._leaked.append(bytearray(b"x" * 100_000))


def read_faults(text: str, *, production: bool) -> Faults:
    """Faults as the environment names them; an empty text is none. Raises FaultsRefused."""
    faults = Faults()
    if text and production:
        raise FaultsRefused("ION_FAULTS is set and ION_ENV is production: faults are refused")
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        try:
            match name:
                case "error-rate":
                    faults.error_rate = _within(float(value), 1.0)
                case "latency-ms":
                    faults.latency_ms = _within(float(value), 60_000.0)
                case "leak-mb-per-minute":
                    faults.leak_mb_per_minute = _within(float(value), 10_000.0)
                case "constant" if not value:
                    faults.constant = True
                case _:
                    raise ValueError("it is no fault")
        except ValueError as error:
            raise FaultsRefused(f"ION_FAULTS: {part!r}: {error}") from error
    return faults


def _within(value: float, most: float) -> float:
    if not 0 <= value <= most:
        raise ValueError(f"expected a number from 0 to {most:g}")
    return value
