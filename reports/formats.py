"""Numbers and times as the report writes them. A rounding never turns almost into all, or little into nothing."""

from datetime import UTC, datetime

from decision.criteria import Criterion
from decision.quantities import duration_text

_RATIOS = frozenset(
    {"pass_rate", "error_rate", "held_rate", "coverage", "memory_ratio", "growth_per_day", "growth_per_day_upper",
     "share", "generator_cpu"}
)  # fmt: skip
_UNITS = {"_ms": " ms", "_mb": " MB", "_s": " s", "_hours": " h", "_hour": " MB/h", "_rate": "/s"}


def count(value: int) -> str:
    """1234 → ``1,234``."""
    return f"{value:,}"


def percent(ratio: float) -> str:
    """0.9858 → ``98.6 %``; 0.05 → ``5 %``; 0.99996 → ``99.996 %``, never 100; unequal zero is never written as zero."""
    if ratio in (0, 1):
        return f"{ratio:.0%}".replace("%", " %")
    for digits in range(1 if abs(ratio) >= 0.01 else 3, 8):
        written = f"{ratio * 100:.{digits}f}"
        if float(written) not in (0, 100):
            return f"{written.rstrip('0').rstrip('.')} %"
    return f"{ratio * 100:.3g} %"


def number(value: float) -> str:
    """At most four significant digits below 1,000, whole with separators above."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def optional_percent(ratio: float | None) -> str:
    """A share, or ``unknown``."""
    return "unknown" if ratio is None else percent(ratio)


def optional_ms(value: float | None) -> str:
    """Milliseconds, or ``unknown``."""
    return "unknown" if value is None else f"{number(value) if value < 100 else f'{value:,.0f}'} ms"


def unit_value(field: str, value: bool | float | str | None) -> str:
    """A value of a result's field with the unit that the field's name implies."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if field in _RATIOS:
        return percent(value)
    if field.startswith("hours_"):
        return f"{number(value)} h"
    unit = next((unit for ending, unit in _UNITS.items() if field.endswith(ending)), "")
    return f"{number(value)}{unit}"


def limit_text(field: str, criterion: Criterion) -> str:
    """The limits of a criterion in the unit of its field: ``at least 98 %``."""
    parts = []
    if criterion.at_least is not None:
        parts.append(f"at least {unit_value(field, criterion.at_least)}")
    if criterion.at_most is not None:
        parts.append(f"at most {unit_value(field, criterion.at_most)}")
    if criterion.within is not None:
        low, high = criterion.within
        parts.append(f"from {unit_value(field, low)} to {unit_value(field, high)}")
    if criterion.equals is not None:
        numeric = isinstance(criterion.equals, float) and not isinstance(criterion.equals, bool)
        parts.append(("exactly " if numeric else "") + unit_value(field, criterion.equals))
    return " and ".join([*parts, *(limit_text(field, part) for part in criterion.all_of)])


def margin_text(field: str, margin: float | None) -> str:
    """A signed distance to a limit; between shares it is in percentage points. Empty when there is none."""
    if margin is None:
        return ""
    size = f"{abs(margin) * 100:.3g} pp" if field in _RATIOS else unit_value(field, abs(margin))
    return f"{'−' if margin < 0 else '+'}{size}"


def window(start: datetime, end: datetime) -> str:
    """``2025-10-22 14:00:00 to 14:00:08 UTC``; the date stands twice when the days differ."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    same_day = start.date() == end.date()
    return f"{start:%Y-%m-%d %H:%M:%S} to {end:{'' if same_day else '%Y-%m-%d '}%H:%M:%S} UTC"


def minute(at: datetime) -> str:
    """``2025-10-22 14:00 UTC``."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def distance(at: datetime, now: datetime) -> str:
    """``in 2d 22h``, ``1h 5m ago`` or ``now``."""
    seconds = (at - now).total_seconds()
    if abs(seconds) < 60:
        return "now"
    return f"in {duration_text(seconds)}" if seconds > 0 else f"{duration_text(-seconds)} ago"


def short(digest: str) -> str:
    """The beginning of a hex digest, after its algorithm: enough to name it."""
    return digest.rpartition(":")[2][:12]


def plural(number_of: int, word: str) -> str:
    """``1 claim``, ``2 claims``."""
    return f"{number_of:,} {word}" if number_of == 1 else f"{number_of:,} {word}s"
