"""When things are to happen: the plan's dated steps, and times that are counted from the deployment."""

import re
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict, field_validator

from decision.quantities import parse_duration_s


class Step(BaseModel):
    """One dated step. ``at`` is a time, or ``deploy`` plus a duration such as ``deploy + 30m``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: str
    does: str
    until: str | None = None


class Schedule(BaseModel):
    """When things are to happen (aware times)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    authorize: datetime
    deploy: datetime
    steps: tuple[Step, ...] = ()

    @field_validator("authorize", "deploy")
    @classmethod
    def _is_aware(cls, at: datetime) -> datetime:
        return aware(at)


def aware(at: datetime) -> datetime:
    """The time itself. Raises ValueError when it has no zone."""
    if at.tzinfo is None:
        raise ValueError("expected a time with its zone, such as 2025-10-22T14:00Z")
    return at


def time_of(text: str, schedule: Schedule) -> datetime | None:
    """``deploy``, ``deploy + 30m``, ``authorize - 1h`` or an ISO time (UTC unless it says otherwise); else None."""
    match = re.fullmatch(r"(deploy|authorize)\s*(?:([+-])\s*(\S+))?", text.strip())
    try:
        if match is None:
            at = datetime.fromisoformat(text.strip())
            return at if at.tzinfo else at.replace(tzinfo=UTC)
        base = schedule.deploy if match[1] == "deploy" else schedule.authorize
        away = timedelta(seconds=parse_duration_s(match[3])) if match[3] else timedelta()
        return base - away if match[2] == "-" else base + away
    except (ValueError, OverflowError):
        return None
