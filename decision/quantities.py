"""Quantities as people write them in a plan: ``10m``, ``5%``, ``0.5pp``, ``50/s``, ``512MB``.

Each type is an annotated float (or a small tuple) for pydantic models; a wrong text raises ValueError with an example.
"""

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

_NUMBER = r"(\d+(?:\.\d+)?)"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST_S = 36500 * 86400.0
_BYTES = {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9}


def parse_duration_s(text: object) -> float:
    """``1h30m`` → 5400.0 seconds. Raises ValueError."""
    if isinstance(text, str) and re.fullmatch(rf"(?:{_NUMBER}(?:ms|s|m|h|d|w))+", text):
        seconds = sum(float(n) * _SECONDS[unit] for n, unit in re.findall(rf"{_NUMBER}(ms|s|m|h|d|w)", text))
        if seconds <= _LONGEST_S:
            return seconds
    raise ValueError("expected a duration such as 30s, 10m, 72h or 7d, at most 36500d")


def parse_ratio(text: object) -> float:
    """``5%`` → 0.05; a plain number must already be a ratio from 0 to 1. Raises ValueError."""
    if isinstance(text, str) and (match := re.fullmatch(rf"{_NUMBER}\s*%", text)):
        value = float(match[1]) / 100
    elif isinstance(text, int | float) and not isinstance(text, bool):
        value = float(text)
    else:
        raise ValueError("expected a share such as 5% or 0.05")
    if not 0 <= value <= 1:
        raise ValueError("expected a share from 0% to 100%")
    return value


def parse_number(text: object) -> float:
    """A criterion's limit: a number, a share (``98%`` → 0.98) or a size (``512MB``). Raises ValueError."""
    if isinstance(text, int | float) and not isinstance(text, bool) and text == text and abs(text) != float("inf"):
        return float(text)
    if isinstance(text, str):
        if match := re.fullmatch(rf"(-?){_NUMBER}\s*%", text):
            return float(match[1] + match[2]) / 100
        if match := re.fullmatch(rf"{_NUMBER}\s*(B|KB|MB|GB)", text):
            return float(match[1]) * _BYTES[match[2]]
    raise ValueError("expected a number such as 0, 200, 98% or 512MB")


def parse_rate_per_s(text: object) -> float:
    """``50/s`` → 50.0 and ``300/m`` → 5.0 a second. Raises ValueError."""
    if isinstance(text, str) and (match := re.fullmatch(rf"{_NUMBER}\s*/\s*(s|m|h)", text)):
        rate = float(match[1]) / _SECONDS[match[2]]
        if rate > 0:
            return rate
    raise ValueError("expected a rate such as 50/s")


HIGHEST_PER_S = 10_000
"""Arrivals a second that one process of the load generator is asked for at most: far more than it makes."""


def checked_rate_per_s(rate_per_s: float, processes: int = 1) -> float:
    """The rate, if so many processes may be asked for it. Raises ValueError."""
    if rate_per_s > HIGHEST_PER_S * processes:
        made_by = "one process" if processes == 1 else f"{processes:,} processes"
        raise ValueError(f"expected at most {HIGHEST_PER_S * processes:,}/s from {made_by}, not {rate_per_s:,.0f}/s")
    return rate_per_s


def parse_rate_or_none_per_s(text: object) -> float:
    """As ``parse_rate_per_s``, and ``0/s`` → 0.0. Raises ValueError."""
    if isinstance(text, str) and re.fullmatch(r"0+(?:\.0+)?\s*/\s*(s|m|h)", text):
        return 0.0
    return parse_rate_per_s(text)


class Margin(NamedTuple):
    """How much worse than stable is still acceptable: ``absolute`` in the metric's unit, or ``relative`` to stable."""

    absolute: float | None
    relative: float | None

    def allowance(self, stable: float) -> float:
        """The allowed difference to a stable value, in the metric's unit."""
        return self.absolute if self.absolute is not None else (self.relative or 0.0) * abs(stable)


def parse_margin(text: object) -> Margin:
    """``0.5pp`` → absolute 0.005; ``10%`` → relative 0.1; ``20`` → absolute 20. Raises ValueError."""
    if isinstance(text, Margin):
        return text
    if isinstance(text, dict) and text.keys() == {"absolute", "relative"}:  # as it is kept
        return Margin(**text)
    if isinstance(text, str):
        if match := re.fullmatch(rf"\+?{_NUMBER}\s*pp", text):
            return Margin(absolute=float(match[1]) / 100, relative=None)
        if match := re.fullmatch(rf"\+?{_NUMBER}\s*%", text):
            return Margin(absolute=None, relative=float(match[1]) / 100)
    if isinstance(text, int | float) and not isinstance(text, bool) and text >= 0:
        return Margin(absolute=float(text), relative=None)
    raise ValueError("expected a margin such as 0.5pp, 10% or 20")


def parse_windows(text: object) -> int:
    """``3 windows`` → 3. Raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    if isinstance(text, str) and (match := re.fullmatch(r"([1-9]\d*) windows?", text)):
        return int(match[1])
    raise ValueError("expected a number of windows such as 3 windows")


def parse_address(text: object) -> tuple[str, int]:
    """``10.0.0.5:5557`` as host and port. Raises ValueError."""
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected HOST:PORT such as 10.0.0.5:5557")
    return host, int(port)


def duration_text(seconds: float) -> str:
    """Seconds as a person writes them, two units at most: 5400 → ``1h 30m``, 42.3 → ``42s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    total = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, total = divmod(total, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


DurationS = Annotated[
    float, BeforeValidator(lambda v: v if isinstance(v, float) and 0 <= v <= _LONGEST_S else parse_duration_s(v))
]
Share = Annotated[float, BeforeValidator(parse_ratio)]
Number = Annotated[float, BeforeValidator(parse_number)]
RatePerS = Annotated[float, BeforeValidator(lambda v: v if isinstance(v, float) else parse_rate_per_s(v))]
RateOfOne = Annotated[RatePerS, AfterValidator(checked_rate_per_s)]
"""A rate that one process makes."""
RateOrNone = Annotated[float, BeforeValidator(lambda v: v if isinstance(v, float) else parse_rate_or_none_per_s(v))]
MarginField = Annotated[Margin, BeforeValidator(parse_margin), PlainSerializer(lambda m: m._asdict())]
Windows = Annotated[int, BeforeValidator(parse_windows)]
